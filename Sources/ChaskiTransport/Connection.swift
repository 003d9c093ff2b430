package import ChaskiWire
package import NIOCore

/// Who a connection belongs to: takes its events and decides what to say. Called on the
/// connection's event loop only.
package protocol ConnectionOwner: AnyObject {
    /// The socket is open; streams may be opened once the machine reports the handshake.
    func connectionStarted(_ connection: Connection)
    /// Events may wait: drain `connection.nextEvent()`. Called once for each run of reads and for
    /// each timer, so that work arrives as a batch.
    func eventsArrived(on connection: Connection)
    /// Output has gone to the kernel, so that there may be room for more. What the owner sends
    /// here needs `setNeedsFlush`.
    func outputDrained(on connection: Connection)
    /// The socket is closed; nothing follows. The connection lets go of its owner.
    func connectionEnded(_ connection: Connection)
}

/// One connection: a `ConnectionMachine` at the end of a NIO pipeline, for either role.
///
/// Confined to its channel's event loop. Owners call the machine through `machine` and say
/// `setNeedsFlush` when they are done; output goes out once per turn of the loop.
package final class Connection: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// The protocol's state. After calls that may produce output, say `setNeedsFlush`.
    package var machine: ConnectionMachine
    private var owner: (any ConnectionOwner)?
    private var context: ChannelHandlerContext?
    private var output = ByteBuffer()
    private var isInTurn = false
    private var isWriting = false
    private var isFlushScheduled = false
    private var ending = Ending.open
    private var timer: (deadlineNanos: Int64, task: Scheduled<Void>)?
    private var discardedBytes = 0

    private enum Ending {
        case open
        /// Close once what is queued has been written.
        case draining
        /// Our side is shut; what still comes in is thrown away until the peer closes too.
        case lingering
        case closed
    }

    /// - Parameters:
    ///   - machine: fresh, of the role that this side has.
    ///   - owner: kept until the connection ends.
    package init(machine: consuming ConnectionMachine, owner: any ConnectionOwner) {
        self.machine = machine
        self.owner = owner
    }

    /// The loop that this connection is confined to; nil when it is not in a pipeline.
    package var eventLoop: (any EventLoop)? { context?.eventLoop }

    /// Whether the socket is still there to be written to.
    package var isOpen: Bool {
        if case .open = ending { return context != nil }
        return false
    }

    /// The peer's address, for logs.
    package var peerDescription: String {
        context?.channel.remoteAddress?.description ?? "unknown"
    }

    /// The time that a connection's machine lives by: monotonic nanoseconds, as real event loops
    /// tell it.
    package static func nowNanos() -> Int64 {
        Int64(clamping: NIODeadline.now().uptimeNanoseconds)
    }

    private static func nowNanos(_ loop: any EventLoop) -> Int64 {
        Int64(clamping: loop.now.uptimeNanoseconds)
    }

    // MARK: Owner's side

    /// Output may wait: write it at the end of this turn of the loop.
    package func setNeedsFlush() {
        guard !isInTurn, !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolatedUnsafeUnchecked().execute {
            self.isFlushScheduled = false
            self.endTurn()
        }
    }

    /// Writes what is queued, shuts our side, and closes when the peer has closed or after one
    /// second.
    package func closeWhenFlushed() {
        guard case .open = ending else { return }
        ending = .draining
        setNeedsFlush()
    }

    /// Closes at once; queued output is lost.
    package func closeNow() {
        ending = .closed
        context?.close(promise: nil)
    }

    // MARK: Pipeline

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { started() }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        ended()
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        started()
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        switch ending {
        case .open, .draining:
            machine.received(buffer.readableBytesSpan, now: Self.nowNanos(context.eventLoop))
        case .lingering:
            discardedBytes += buffer.readableBytes
            if discardedBytes > SocketSettings.lingerBytes { closeNow() }
        case .closed:
            break
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        turn { $0.eventsArrived(on: self) }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        // During a write of our own the writing loop itself sees it.
        guard context.channel.isWritable, !isWriting else { return }
        endTurn()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeNow()
    }

    // MARK: Turns

    private func started() {
        guard owner != nil, timer == nil else { return }
        turn { $0.connectionStarted(self) }
    }

    private func ended() {
        ending = .closed
        timer?.task.cancel()
        timer = nil
        guard let owner else { return }
        self.owner = nil
        owner.connectionEnded(self)
    }

    /// Lets the owner work, then writes once.
    private func turn(_ body: (any ConnectionOwner) -> Void) {
        guard let owner, !isInTurn else { return }
        isInTurn = true
        body(owner)
        isInTurn = false
        endTurn()
    }

    private func endTurn() {
        guard let context else { return }
        if write(context) { owner?.outputDrained(on: self) }
        armTimer(context)
    }

    /// Moves output into the channel while the channel takes it; whether there was any.
    private func write(_ context: ChannelHandlerContext) -> Bool {
        switch ending {
        case .open, .draining: break
        case .lingering, .closed: return false
        }
        var hasWritten = false
        isWriting = true
        while context.channel.isWritable {
            // Its memory is free again when the kernel took all of the last write at once.
            var buffer = output
            output = ByteBuffer()
            buffer.clear()
            let more = machine.writeOutput(
                maximumBytes: SocketSettings.writeBytes, now: Self.nowNanos(context.eventLoop)
            ) { part in
                _ = part.withUnsafeBytes { buffer.writeBytes($0) }
            }
            output = buffer
            if buffer.readableBytes == 0 { break }
            context.writeAndFlush(wrapOutboundOut(consume buffer), promise: nil)
            hasWritten = true
            if !more { break }
        }
        isWriting = false
        if case .draining = ending, machine.queuedBytes == 0 { linger(context) }
        return hasWritten
    }

    /// Shuts our side once everything is written; the peer's close, or the time, ends the rest.
    private func linger(_ context: ChannelHandlerContext) {
        ending = .lingering
        let loop = context.eventLoop.assumeIsolatedUnsafeUnchecked()
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
        written.futureResult.assumeIsolated().whenComplete { _ in
            self.context?.close(mode: .output, promise: nil)
        }
        loop.scheduleTask(in: SocketSettings.lingerTime) { self.closeNow() }
    }

    private func armTimer(_ context: ChannelHandlerContext) {
        guard case .open = ending, let deadline = machine.nextDeadlineNanos else { return }
        if let timer {
            if timer.deadlineNanos <= deadline { return }
            timer.task.cancel()
        }
        let task = context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(
            deadline: .uptimeNanoseconds(UInt64(clamping: deadline))
        ) {
            self.timer = nil
            // Keepalive comes by here when all is quiet.
            if self.output.capacity > SocketSettings.keptBytes { self.output = ByteBuffer() }
            self.machine.timerFired(now: max(deadline, Self.nowNanos(context.eventLoop)))
            self.turn { $0.eventsArrived(on: self) }
        }
        timer = (deadline, task)
    }
}
