import ChaskiSimulation
import Testing

struct EventQueueTests {
    @Test func givesEventsInOrderOfTimeThenOfAsking() {
        var queue = EventQueue<Int>()
        var random = SimulationRandom(seed: 3)
        var expected: [(time: Int64, event: Int)] = []
        for event in 0..<500 {
            let time = Int64(random.below(40))
            queue.schedule(event, at: time)
            expected.append((time, event))
        }
        expected.sort { $0.time != $1.time ? $0.time < $1.time : $0.event < $1.event }
        for (time, event) in expected {
            #expect(queue.nextTime == time)
            #expect(queue.next() == event)
            #expect(queue.now == time)
        }
        #expect(queue.next() == nil)
    }

    @Test func thePastBecomesNow() {
        var queue = EventQueue<String>()
        queue.schedule("late", at: 100)
        _ = queue.next()
        queue.schedule("early", at: 5)
        #expect(queue.next() == "early")
        #expect(queue.now == 100)
    }
}
