import ChaskiBroker
import ChaskiModel

/// What a death leaves in doubt, and what a recovery must bring back.
extension Oracle {
    /// The process is gone: everything under way is in doubt, and no more answers come.
    func brokerDied(now: Now) {
        for id in pending.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            guard let request = pending[id] else { continue }
            abandon(request)
        }
        pending.removeAll(keepingCapacity: true)
        letters.questions.removeAll()
        namesUnderWay.removeAll(keepingCapacity: true)
        for subscription in subscriptionOrder where !subscription.removed {
            subscription.unanswered.removeAll(keepingCapacity: true)
            for index in subscription.window {
                subscription.messages[index].underWay = 0
                subscription.messages[index].underWayCount = 0
                subscription.messages[index].probe = .no
                // What had run out may have been given back; the rest waits for its session.
                let holds = now.clock < leaseEnd(subscription.messages[index])
                subscription.messages[index].leaseUntil = holds ? .max : .min
            }
        }
        for number in consumers.indices where consumers[number].connected {
            consumers[number].connected = false
            consumers[number].open = false
        }
    }

    private func abandon(_ request: Pending) {
        switch request {
        case .createTopic(let name), .deleteTopic(let name): topicNames[name] = .unknown
        case .createSubscription(let name, _, _, let low):
            creationInDoubt(name, low)
        // An update's proposal stays, in doubt.
        case .updateSubscription, .fetch: break
        case .letters(let taking): if let taking { letters.inDoubt.append(taking) }
        case .edit(let payload): if let payload { letters.editsInDoubt.append(payload) }
        case .deleteSubscription(let name): subscriptionNames[name] = .unknown
        case .publish(let publication, _):
            publications[publication].outstanding -= 1
            publications[publication].inDoubt = true
        case .settle(let settle): abandon(settle)
        case .skip(let producer, let topic, let next):
            skipsInDoubt.append((producer, topic, next))
        case .flow(let request): flowInDoubt(request)
        case .atomic(let number, let settles, _):
            abandonAtomic(number)
            for settle in settles { abandon(settle) }
        case .openProducer, .openConsumer, .close: break
        }
    }

    private func abandon(_ settle: PendingSettle) {
        let number = number(of: settle.command.consumer)
        guard let subscription = consumers[number].subscription else { return }
        for range in settle.command.ranges {
            for step in 0..<range.count {
                maybe(settle.command, range.first + Offset(step), range, subscription)
            }
        }
    }

    // MARK: - Reading back

    /// A recovery begins, perhaps not the first after this death.
    func recoveryBegins() { recoveredFromDoubt = 0 }

    /// A batch that recovery read back: one that was stored, or all of the group in doubt.
    func readBack(_ entry: JournalEntry) {
        guard entry.kind == .batch else { return }
        if let topic = topics[entry.topic], entry.baseOffset < topic.end {
            guard entry.baseOffset + Offset(entry.count) <= topic.end else {
                return violated("P5", "a batch came back longer than it was stored")
            }
            let (publication, index) = topic.log[Int(entry.baseOffset)]
            if index != 0 || !isContent(entry.body, of: Int(publication)) {
                violated("P6", "\(topic.name)@\(entry.baseOffset) came back with another content")
            }
            return
        }
        let expected = groupInDoubt?.entries.contains {
            $0.kind == .batch && $0.topic == entry.topic && $0.baseOffset == entry.baseOffset
                && $0.count == entry.count
        }
        guard expected == true else {
            return violated(
                "P8", "recovery brings offset \(entry.baseOffset), which was never written")
        }
        recoveredFromDoubt += 1
    }

    /// Recovery succeeded: whether the group in doubt came back is decided for good.
    func doubtResolved(cameBack: Bool) {
        guard let group = groupInDoubt else { return }
        let batches = group.entries.count { $0.kind == .batch }
        if recoveredFromDoubt != 0, recoveredFromDoubt != batches {
            violated("P5", "\(recoveredFromDoubt) of \(batches) batches of one group came back")
        }
        if batches > 0, (recoveredFromDoubt == batches) != cameBack {
            violated("P5", "batches of a group came back without its state, or the other way round")
        }
        if cameBack {
            writeReturned()
        } else {
            groupInDoubt = nil
        }
    }

    /// The broker serves again: leases that were held wait for their sessions.
    func recovered(epoch: UInt32, now: Now) {
        if epoch <= self.epoch { violated("A4", "epoch \(epoch) follows \(self.epoch)") }
        self.epoch = epoch
        for subscription in subscriptionOrder where !subscription.removed {
            subscription.flow.rate.clockGoesOn(from: now.clock)
            for index in subscription.window
            where subscription.messages[index].leaseUntil == .max {
                subscription.messages[index].leaseUntil = now.clock + resumeGraceNanos
            }
        }
    }

    /// T3: the process was stopped; what ran out meanwhile is not acted on for a while.
    func paused(from start: Int64, to end: Int64, _ configuration: BrokerConfiguration) {
        for subscription in subscriptionOrder where !subscription.removed {
            for index in subscription.window where subscription.messages[index].state == .leased {
                let lease = leaseEnd(subscription.messages[index])
                guard lease > start, lease <= end - configuration.pauseDetectionNanos else {
                    continue
                }
                subscription.messages[index].leaseUntil = end + configuration.pauseGraceNanos
            }
        }
    }
}
