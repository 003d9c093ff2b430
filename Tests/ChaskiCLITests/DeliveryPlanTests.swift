import ChaskiCLI
import Testing

@Suite struct DeliveryPlanTests {
    /// Hand-outs until a message is done with, as a broker that loses nothing makes them.
    private func steps(_ plan: DeliveryPlan) -> [DeliveryPlan.Step] {
        var steps: [DeliveryPlan.Step] = []
        var failed: UInt32 = 0
        for handout in 1...10 as ClosedRange<UInt32> {
            let step = plan.step(failed: failed, handout: handout)
            steps.append(step)
            switch step {
            case .ack, .atomic, .fail: return steps
            case .release: continue
            case .retry:
                failed += 1
                if failed == DeliveryPlan.maximumFailures { return steps }
            }
        }
        return steps
    }

    @Test func `Each message comes to the end that its plan names, in every way that there is`() {
        var seen: [DeliveryPlan.Fate: Int] = [:]
        var detours: [DeliveryPlan.Detour: Int] = [:]
        for number in 0..<20_000 as Range<UInt64> {
            let plan = DeliveryPlan(of: VerifyValue(producer: 1, number: number))
            seen[plan.fate, default: 0] += 1
            detours[plan.detour, default: 0] += 1
            let steps = steps(plan)
            switch plan.fate {
            case .ack: #expect(steps.last == .ack)
            case .atomic: #expect(steps.last == .atomic)
            case .fail: #expect(steps == [.fail])
            case .exhaust: #expect(steps.count == Int(DeliveryPlan.maximumFailures))
            }
            #expect(plan.detour == .none || steps.count == 2)
        }
        for fate in DeliveryPlan.Fate.allCases { #expect(seen[fate, default: 0] > 50) }
        for detour in DeliveryPlan.Detour.allCases { #expect(detours[detour, default: 0] > 100) }
    }
}
