import ChaskiModel

/// Holders and lease groups of one subscription.
struct LeaseTable {
    private(set) var holders: [Holder?] = []
    private var freeHolders: [Int32] = []
    private(set) var groups: [LeaseGroup] = []
    private var freeGroups: [UInt32] = []

    var holderCount: Int { holders.count - freeHolders.count }

    mutating func addHolder(_ make: (Int32) -> Holder) -> Holder {
        if let index = freeHolders.popLast() {
            let holder = make(index)
            holders[Int(index)] = holder
            return holder
        }
        let holder = make(Int32(holders.count))
        holders.append(holder)
        return holder
    }

    mutating func removeHolder(_ holder: Holder) {
        let index = Int(holder.index)
        precondition(holders[index] === holder, "not a holder of this subscription")
        precondition(holder.messagesOut == 0, "it still holds messages")
        holders[index] = nil
        freeHolders.append(holder.index)
    }

    func holder(_ index: Int32) -> Holder? {
        let place = Int(index)
        return place >= 0 && place < holders.count ? holders[place] : nil
    }

    /// A group with no messages yet.
    mutating func addGroup(
        holder: Int32, epoch: UInt32, deadline: Int64, round: UInt32
    ) -> GroupReference {
        let index: UInt32
        if let free = freeGroups.popLast() {
            index = free
        } else {
            index = UInt32(groups.count)
            groups.append(LeaseGroup(holder: holder))
        }
        groups[Int(index)].holder = holder
        groups[Int(index)].epoch = epoch
        groups[Int(index)].deadline = deadline
        groups[Int(index)].firstDeadline = deadline
        groups[Int(index)].round = round
        assert(groups[Int(index)].live == 0, "a free group holds messages")
        return GroupReference(index: index, generation: groups[Int(index)].generation)
    }

    func contains(_ reference: GroupReference) -> Bool {
        let index = Int(reference.index)
        return index < groups.count && groups[index].generation == reference.generation
    }

    func deadline(_ reference: GroupReference) -> Int64 { groups[Int(reference.index)].deadline }

    /// Messages of the group at `index` were handed out.
    mutating func add(_ index: UInt32, run: Range<Offset>) {
        let place = Int(index)
        groups[place].live += Int32(run.count)
        if let last = groups[place].runs.last, last.upperBound == run.lowerBound {
            groups[place].runs[groups[place].runs.count - 1] = last.lowerBound..<run.upperBound
        } else {
            groups[place].runs.append(run)
        }
    }

    mutating func lowerEpoch(_ index: UInt32, to epoch: UInt32) {
        groups[Int(index)].epoch = min(groups[Int(index)].epoch, epoch)
    }

    mutating func raiseDeadline(_ index: UInt32, to deadline: Int64) {
        groups[Int(index)].deadline = max(groups[Int(index)].deadline, deadline)
    }

    /// Messages of a group are out no more.
    mutating func leave(_ index: UInt32, count: Int32, bytes: UInt64) {
        let place = Int(index)
        precondition(groups[place].live >= count, "a group held fewer messages")
        groups[place].live -= count
        if let holder = holders[Int(groups[place].holder)] {
            precondition(holder.messagesOut >= UInt32(count) && holder.bytesOut >= bytes)
            holder.messagesOut -= UInt32(count)
            holder.bytesOut -= bytes
        }
        if groups[place].live == 0 {
            groups[place].generation &+= 1
            groups[place].runs.removeAll(keepingCapacity: groups[place].runs.count <= 8)
            freeGroups.append(index)
        }
    }

    /// A message of one group is in another of the same holder from now on.
    mutating func move(from old: UInt32, to new: UInt32, offset: Offset) {
        let holder = groups[Int(old)].holder
        precondition(groups[Int(new)].holder == holder, "another holder's group")
        add(new, run: offset..<offset + 1)
        // What `leave` takes from the holder comes back.
        leave(old, count: 1, bytes: 0)
        holders[Int(holder)]?.messagesOut += 1
    }
}
