import ChaskiModel

/// A request for the batches of some messages, under way.
struct Fetch {
    /// Bytes of batches that one request brings, about.
    static let maximumBytes = 2 * 1024 * 1024
    static let maximumOffsets = 1_000
    /// Requests under way at once.
    static let maximumNumber = 64

    var request: RequestID
    var topic: TopicID
    /// Still to be read, ascending.
    var offsets: ArraySlice<Offset>
    var batches: [StoredBatch] = []
    var bytes = 0
    var unreadable: [Offset] = []
    var failure: Failure?
}

extension NamespaceMachine {
    /// Reads the batches that hold messages of a subscription's topic, for somebody who asked: one
    /// after the other, until all are there or they are too many.
    func fetch(
        _ request: RequestID, _ name: String, _ offsets: [Offset], _ effects: inout [Effect]
    ) {
        guard let subscription = directory.subscription(named: name) else {
            effects.append(.reply(request, .failure(.unknownSubscription(name))))
            return
        }
        guard reads.fetches.count < Fetch.maximumNumber else {
            effects.append(.reply(request, .failure(.overloaded("messages are being read"))))
            return
        }
        precondition(offsets.count <= Fetch.maximumOffsets, "too many are asked for at once")
        let sorted = offsets.sorted()
        fetchNext(
            Fetch(request: request, topic: subscription.topic.id, offsets: sorted[...]), &effects)
    }

    private func fetchNext(_ asked: Fetch, _ effects: inout [Effect]) {
        var fetch = asked
        while let offset = fetch.offsets.first, let last = fetch.batches.last,
            last.contains(offset)
        {
            fetch.offsets.removeFirst()
        }
        guard let offset = fetch.offsets.first, fetch.bytes < Fetch.maximumBytes else {
            let fetched = FetchedMessages(
                batches: fetch.batches, unreadable: fetch.unreadable, failure: fetch.failure,
                rest: fetch.offsets.first)
            effects.append(.reply(fetch.request, .success(.fetched(fetched))))
            return
        }
        let id = ReadID(rawValue: reads.next)
        reads.next += 1
        reads.fetches[id.rawValue] = fetch
        effects.append(
            .read(ReadRequest(id: id, topic: fetch.topic, from: offset, maximumBytes: 1)))
    }

    /// The host has read for a request what it asked for.
    func fetched(
        _ asked: Fetch, _ result: Result<[StoredBatch], Failure>, _ effects: inout [Effect]
    ) {
        var fetch = asked
        guard let offset = fetch.offsets.popFirst() else {
            preconditionFailure("a read is for an offset")
        }
        switch result {
        case .success(let batches):
            if let batch = batches.first(where: { $0.contains(offset) }) {
                fetch.batches.append(batch)
                fetch.bytes += batch.bytes.count
            } else {
                fetch.unreadable.append(offset)
                fetch.failure = fetch.failure ?? .missing(offset)
            }
        case .failure(let failure):
            fetch.unreadable.append(offset)
            fetch.failure = fetch.failure ?? failure
        }
        fetchNext(fetch, &effects)
    }

    /// Nothing will be read any more.
    func abandonFetches(_ failure: Failure, _ effects: inout [Effect]) {
        for (_, fetch) in reads.fetches.sorted(by: { $0.key < $1.key }) {
            effects.append(.reply(fetch.request, .failure(failure)))
        }
        reads.fetches.removeAll()
    }
}

extension StoredBatch {
    /// Whether its range takes an offset in.
    func contains(_ offset: Offset) -> Bool {
        baseOffset <= offset && offset - baseOffset < Offset(count)
    }
}
