import ChaskiBroker
import ChaskiModel
import Testing

/// Random histories with crashes, refusals and checkpoints, checked after every step.
@Suite struct RandomHistoryTests {
    @Test(arguments: 0..<12 as Range<UInt64>)
    func `Whatever happens, nothing is lost, handed out twice at once, or forgotten`(seed: UInt64) {
        let run = RandomRun(seed: seed)
        for step in 0..<300 {
            run.step()
            if let text = run.problem() {
                Issue.record("seed \(seed), step \(step): \(text)")
                return
            }
        }
        run.drain()
        if let text = run.problem() { Issue.record("seed \(seed), at the end: \(text)") }
        #expect(run.leftOver() == [], "seed \(seed)")
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `Whatever happens, the messages of a key keep their order`(seed: UInt64) {
        let run = RandomRun(seed: seed &+ 1_000, isOrdered: true)
        for step in 0..<300 {
            run.step()
            if let text = run.problem() {
                Issue.record("seed \(seed), step \(step): \(text)")
                return
            }
        }
        run.drain()
        if let text = run.problem() { Issue.record("seed \(seed), at the end: \(text)") }
        #expect(run.leftOver() == [], "seed \(seed)")
    }

    @Test func `One seed has one history`() {
        let a = RandomRun(seed: 99)
        let b = RandomRun(seed: 99)
        for _ in 0..<400 {
            a.step()
            b.step()
        }
        #expect(a.trace == b.trace)
        #expect(a.host.machine.stateDigest() == b.host.machine.stateDigest())
    }
}
