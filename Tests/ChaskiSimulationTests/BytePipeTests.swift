import Testing

@testable import ChaskiSimulation

struct BytePipeTests {
    private func read(_ pipe: inout BytePipe, now: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        while let piece = pipe.take(now: now) { bytes += piece }
        return bytes
    }

    @Test func givesBytesInOrderWhenTheyArrive() {
        var pipe = BytePipe(capacity: 100)
        #expect(pipe.append([1, 2], arrival: 50) == 50)
        // A piece never overtakes the one before it.
        #expect(pipe.append([3], arrival: 20) == 50)
        #expect(pipe.room == 97)
        #expect(read(&pipe, now: 49) == [])
        #expect(read(&pipe, now: 50) == [1, 2, 3])
        #expect(pipe.room == 100)
        #expect(pipe.isEmpty)
    }

    @Test(arguments: 0...5)
    func aResetKeepsTheBeginning(count: Int) {
        var pipe = BytePipe(capacity: 100)
        _ = pipe.append([1, 2], arrival: 10)
        _ = pipe.append([3, 4, 5], arrival: 20)
        pipe.reset(keeping: count)
        #expect(pipe.room == 0)
        #expect(read(&pipe, now: 20) == Array([1, 2, 3, 4, 5].prefix(count)))
    }

    @Test func takesNothingAfterItsEnd() {
        var pipe = BytePipe(capacity: 4)
        _ = pipe.append([1, 2, 3, 4, 5], arrival: 10)
        #expect(pipe.room == 0)
        #expect(pipe.finish(arrival: 3) == 10)
        _ = read(&pipe, now: 10)
        #expect(pipe.room == 0)
        #expect(pipe.isFinished && pipe.isEmpty)
    }
}
