import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiStorage
import ChaskiStreams
import NIOCore

extension ServerConnection {
    /// Answers `Broker/Status`: asks every shard on its loop.
    func answerStatus(_ stream: UnaryStream) {
        let answer = loop.makePromise(of: [Chaski_V1_NamespaceStatus].self)
        let statuses = broker.shards.ports.map { port in
            port.loop.submit { port.shard.status() }
        }
        EventLoopFuture.whenAllSucceed(statuses, on: loop).cascade(to: answer)
        answer.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { [self] result in
            stream.answered(
                result.mapError { _ in .draining }.flatMap { namespaces in
                    do throws(Failure) {
                        return .success(try status(namespaces).bytes())
                    } catch {
                        return .failure(error)
                    }
                })
            endTurn()
        }
    }

    private func status(_ namespaces: [Chaski_V1_NamespaceStatus]) -> Chaski_V1_BrokerStatusResponse
    {
        .with {
            $0.software = BrokerContext.software
            $0.startedUnixNanos = broker.startedWallNanos
            $0.connections = UInt64(broker.connections.count)
            $0.residentBytes = ProcessFigures.residentBytes()
            let fenced = broker.shards.fenced.map { name, failure in
                Chaski_V1_NamespaceStatus.with {
                    $0.name = name
                    $0.publishingRefused = failure.reason.rawValue
                }
            }
            $0.namespaces = (namespaces + fenced).sorted { $0.name < $1.name }
        }
    }
}

extension Shard {
    /// What `Broker/Status` says of this namespace.
    func status() -> Chaski_V1_NamespaceStatus {
        .with {
            $0.name = namespace
            $0.topics = UInt64(machine.topicCount)
            $0.subscriptions = UInt64(machine.subscriptionCount)
            $0.syncs = counters.syncs
            $0.bytesWritten = counters.bytesWritten
            $0.messagesAppended = counters.messagesAppended
            $0.journalBytes = journal.index.fileBytes
            $0.journalEpoch = journal.recovery.epoch
            if case .failed = commit.life {
                $0.publishingRefused = FailureReason.journalFailed.rawValue
            } else {
                $0.publishingRefused = publishing.refusal?.reason.rawValue ?? ""
            }
            $0.allocations = ProcessFigures.allocations()
        }
    }
}
