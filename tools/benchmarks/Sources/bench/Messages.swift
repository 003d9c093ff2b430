import Ours

/// Values of the messages; SwiftProtobuf's are decoded from the same bytes.
func fill(_ small: inout Ours.Bench_Small) {
    small.balance = -5
    small.total = 1 << 40
    small.count = 7
    small.sequence = 99
    small.delta = -3
    small.drift = 12_345
    small.checksum = 1
    small.digest = 2
    small.ratio = 3.5
    small.active = true
    small.name = "a short name"
    small.title = "a somewhat longer title of a thing"
}

func fill(_ event: inout Ours.Bench_Event) {
    event.id = "0123456789abcdef"
    event.time = 1_700_000_000_000
    event.kind = "order.created"
    for index in 0..<8 {
        event.attributes["attribute-\(index)"] = "value number \(index) of it"
    }
    event.sender.street = "Main Street 12"
    event.sender.city = "Springfield"
    event.sender.zip = 12_345
    event.receiver = event.sender
    for index in 0..<10 {
        event.items.append(item(index))
    }
    event.payload = [UInt8](repeating: 7, count: 340)
}

func fill(_ batch: inout Ours.Bench_Batch) {
    batch.items = (0..<3_500).map(item)
    batch.numbers = (0..<500).map { Int64($0) }
}

private func item(_ index: Int) -> Ours.Bench_Item {
    .with {
        $0.sku = "SKU-\(index)-0000"
        $0.quantity = UInt32(index)
        $0.price = 9.99
    }
}
