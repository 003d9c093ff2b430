import ChaskiModel
import Testing

@testable import ChaskiBroker

/// What is known of messages, beside a plain list of states.
@Suite struct WindowTests {
    @Test(
        "Chunks that shrink and thaw say of each message what a plain list says",
        arguments: 1...40 as ClosedRange<UInt64>)
    func againstList(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        func pick(_ below: UInt64) -> UInt64 { random.next() % below }
        let start = pick(600)
        let window = Window(start: start)
        var states: [Offset: SlotState] = [:]
        var cooled: [UInt64] = []
        let passing = pick(100)
        let lagging = 1 + pick(4)
        for _ in 0..<6_000 {
            switch pick(10) {
            case 0..<5:
                let offset = window.end
                if pick(100) < passing {
                    window.pass(offset)
                    states[offset] = .passed
                } else {
                    window.extend(to: offset + 1)
                    window.slot(offset)?.pointee.state = .leased
                    window.slot(offset)?.pointee.b = UInt32(offset)
                    states[offset] = .leased
                }
            case 5..<9:
                // Mostly what is leased is settled; what was passed over now and then.
                let offset = start + pick(window.end - start + 1)
                guard let state = states[offset], state == .leased || pick(20) == 0 else { break }
                let before = window.settle(offset, as: .acked)
                #expect(before?.state == (state == .acked ? nil : state))
                states[offset] = .acked
            default:
                let offset = start + pick(window.end - start + 1)
                guard states[offset] == .passed, pick(lagging) == 0,
                    let slot = window.takePassed(offset)
                else { break }
                #expect(slot.pointee.state == .passed)
                slot.pointee.state = .leased
                slot.pointee.b = UInt32(offset)
                states[offset] = .leased
            }
            window.advance()
            cooled += window.takeCooled()
            if cooled.count > 1, pick(8) == 0 { window.shrink(cooled.removeFirst()) }
        }
        #expect(window.inconsistency() == nil)
        var open: Offset? = window.nextOpen(from: start)
        for offset in start..<window.end {
            guard let state = states[offset] else { continue }
            #expect(window.isSettled(offset) == (state == .acked))
            guard state != .acked else { continue }
            #expect(open == offset)
            #expect(window.slot(offset)?.pointee.state == state)
            if state == .leased { #expect(window.slot(offset)?.pointee.b == UInt32(offset)) }
            open = window.nextOpen(from: offset + 1)
        }
        #expect(open == nil)
        for (offset, state) in states where state != .acked {
            _ = window.settle(offset, as: .acked)
        }
        window.advance()
        #expect(window.settledBelow == window.end && window.inconsistency() == nil)
    }

    @Test("What waits behind a busy key costs about half a byte")
    func lightChunks() {
        let window = Window(start: 0)
        for offset in 0..<100_000 as Range<Offset> {
            if offset % 2 == 0 {
                window.pass(offset)
            } else {
                window.extend(to: offset + 1)
                _ = window.settle(offset, as: .acked)
            }
        }
        for number in window.takeCooled() { window.shrink(number) }
        #expect(window.inconsistency() == nil)
        #expect(window.memoryBytes < 100_000 * 6 / 10)
    }
}
