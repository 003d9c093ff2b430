import ChaskiBroker
import ChaskiModel
import ChaskiStorage
import Logging
import NIOCore

/// Where a shard's journal stands.
struct CommitState {
    enum Life {
        case running
        /// A sync failed: nothing is written any more in this process.
        case failed
    }
    var life = Life.running
    /// A group or a maintenance is with the journal thread.
    var isBusy = false
    /// A turn at the disk was asked for and not given yet.
    var isWaitingForTurn = false
    /// Messages in the group that is with the journal thread.
    var messages: UInt64 = 0
    /// Journal bytes since the last checkpoint cycle began.
    var bytesSinceCheckpoint = 0
    /// The file that the last group went to.
    var file: UInt64 = 0
    /// Whether maintenance shall go ahead of the next group.
    var wantsMaintenance = true
    /// When the last checkpoint cycle was begun, or the namespace was opened.
    var checkpointBegun = NIODeadline.now()
    /// A plan is with the upkeep thread, or its result has not taken effect.
    var isUpkeepUnderWay = false
    /// What upkeep came to, for the next maintenance.
    var upkeep: UpkeepResult?
    /// After a refusal nothing is written for a moment, or the same would be refused in a loop.
    var isHeld = false
}

extension Shard {
    /// Hands the next group to the journal thread when that is free and this shard's turn.
    func startCommit() {
        guard case .running = commit.life, !commit.isBusy, !commit.isWaitingForTurn else { return }
        if commit.wantsMaintenance {
            startMaintenance()
            return
        }
        guard machine.wantsGroup, !commit.isHeld else { return }
        switch admission.request(self) {
        case .wait:
            commit.isWaitingForTurn = true
        case .go(let maximumBytes):
            begin(maximumBytes: maximumBytes)
        }
    }

    /// The disk admission gives this shard its turn.
    func turnGranted(maximumBytes: Int) {
        commit.isWaitingForTurn = false
        begin(maximumBytes: maximumBytes)
        endTurn()
    }

    private func begin(maximumBytes: Int) {
        guard case .running = commit.life, !commit.isBusy,
            let group = machine.takeGroup(
                maximumBytes: min(maximumBytes, journalConfiguration.maximumGroupBytes),
                now: clock.now())
        else {
            admission.finished(self)
            return
        }
        commit.isBusy = true
        var messages: UInt64 = 0
        for entry in group.entries where entry.kind == .batch { messages &+= UInt64(entry.count) }
        commit.messages = messages
        let bound = NIOLoopBound(self, eventLoop: loop)
        worker.commit(group, on: loop) { bound.value.committed($0) }
    }

    private func committed(_ outcome: CommitOutcome) {
        precondition(commit.isBusy, "an outcome without a group")
        commit.isBusy = false
        admission.finished(self)
        switch outcome {
        case .durable(let receipt):
            applied(receipt)
        case .refused(let failure):
            logger.warning(
                "journal refused a group",
                metadata: ["reason": "\(failure.reason.rawValue)", "detail": "\(failure.message)"])
            publishing.space = failure.reason == .diskFull ? failure : publishing.space
            hold()
            machine.refused(failure, now: clock.now(), effects: &effects)
        case .failed(let failure):
            fail(failure)
        }
        endTurn()
    }

    private func applied(_ receipt: CommitReceipt) {
        counters.syncs &+= 1
        counters.bytesWritten &+= UInt64(clamping: receipt.bytes)
        counters.messagesAppended &+= commit.messages
        metrics.groupSynced(messages: commit.messages, bytes: receipt.bytes)
        journal.index.apply(receipt)
        if receipt.file != commit.file {
            commit.file = receipt.file
            commit.wantsMaintenance = true
        }
        updateSpace(receipt.space)
        commit.bytesSinceCheckpoint += receipt.bytes
        if commit.bytesSinceCheckpoint >= journalConfiguration.checkpointBytes {
            beginCheckpoint()
        }
        machine.durable(now: clock.now(), effects: &effects)
    }

    private func beginCheckpoint() {
        commit.bytesSinceCheckpoint = 0
        commit.checkpointBegun = .now()
        machine.beginCheckpoint()
    }

    /// Lets the journal look for space before it is asked again.
    private func hold() {
        commit.isHeld = true
        commit.wantsMaintenance = true
        loop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .milliseconds(100)) {
            self.commit.isHeld = false
            self.endTurn()
        }
    }

    /// The end of this journal's life in this process: no later OK.
    private func fail(_ failure: Failure) {
        commit.life = .failed
        logger.critical(
            "journal failed; this namespace takes nothing more until the broker is restarted",
            metadata: ["reason": "\(failure.reason.rawValue)", "detail": "\(failure.message)"])
        machine.failed(failure, effects: &effects)
    }

    // MARK: Maintenance

    private func startMaintenance() {
        commit.wantsMaintenance = false
        commit.isBusy = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        let upkeep = commit.upkeep.take()
        worker.maintain(upkeep, bootNanos: clock.bootNanos(), on: loop) {
            bound.value.maintained($0)
        }
    }

    private func maintained(_ report: MaintenanceReport) {
        commit.isBusy = false
        journal.index.apply(report)
        for warning in report.warnings {
            logger.warning("journal maintenance", metadata: ["detail": "\(warning)"])
        }
        if let failure = report.failure {
            fail(failure)
        } else {
            updateSpace(report.space)
            if let upkeep = report.upkeep { took(upkeep) }
            checkpointForSpace()
        }
        endTurn()
    }

    /// Begins a checkpoint before its time where that gives space back: soon on a full disk, and
    /// within a minute on any.
    private func checkpointForSpace() {
        let since = NIODeadline.now() - commit.checkpointBegun
        guard since >= (publishing.space == nil ? .seconds(30) : .seconds(2)),
            journal.index.hasFileForCheckpointOnly()
        else { return }
        beginCheckpoint()
    }

    // MARK: Upkeep

    /// Has files compacted and let go of, one after the other, by a thread of its own.
    private func startUpkeep() {
        guard case .running = commit.life, drained == nil, !commit.isUpkeepUnderWay else { return }
        let now = clock.now()
        let isShort = publishing.space != nil
        guard
            let plan = journal.index.nextUpkeep(isSpaceShort: isShort, clock: now.clock)
        else { return }
        commit.isUpkeepUnderWay = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        upkeep.run(plan, of: journal, isUrgent: isShort, now: now, on: loop) { result in
            bound.value.commit.upkeep = result
            bound.value.commit.wantsMaintenance = true
            bound.value.endTurn()
        }
    }

    /// Upkeep has taken effect; there may be more to do.
    private func took(_ result: UpkeepResult) {
        commit.isUpkeepUnderWay = false
        let figures = result.figures
        metrics.upkeepDone(figures)
        if figures.compactions > 0 {
            logger.info(
                "files were compacted",
                metadata: [
                    "files": "\(figures.compactions)", "segments": "\(figures.segmentsMade)",
                    "bytes": "\(figures.bytesCopied)",
                ])
        }
        startUpkeep()
    }

    /// Maintenance comes around once a second, and whenever a new file was begun.
    func scheduleMaintenance() {
        loop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .seconds(1)) { [weak self] in
            guard let self, case .running = self.commit.life, self.drained == nil else { return }
            self.commit.wantsMaintenance = true
            self.startUpkeep()
            self.scheduleMaintenance()
            self.endTurn()
        }
    }

    private func updateSpace(_ space: SpaceState) {
        let refusal = space.refusal
        if (refusal == nil) != (publishing.space == nil) {
            logger.warning(
                refusal == nil ? "publishing resumes" : "the disk is full: publishing is refused")
        }
        publishing.space = refusal
    }
}
