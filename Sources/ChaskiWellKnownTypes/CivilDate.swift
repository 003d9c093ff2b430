/// A day of the Gregorian calendar, carried back before its introduction, from the year 1 to 9999.
struct CivilDate: Equatable {
    var year: Int64
    var month: Int64
    var day: Int64

    /// Days of 400 years, after which the calendar repeats.
    private static let cycle: Int64 = 146_097
    /// Days from 0000-03-01, where the count below starts, to 1970-01-01.
    private static let toEpoch: Int64 = 719_468

    /// Nil for a day that the calendar does not have.
    init?(year: Int64, month: Int64, day: Int64) {
        guard (1...9_999).contains(year), (1...12).contains(month), day >= 1,
            day <= Self.days(inMonth: month, of: year)
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
    }

    /// Counts in years that begin in March, so that a leap day ends one.
    init(daysSinceEpoch days: Int64) {
        let count = days + Self.toEpoch
        let cycles = (count >= 0 ? count : count - Self.cycle + 1) / Self.cycle
        let ofCycle = count - cycles * Self.cycle
        let yearOfCycle = (ofCycle - ofCycle / 1_460 + ofCycle / 36_524 - ofCycle / 146_096) / 365
        let ofYear = ofCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        // Months from March: 31, 30, 31, 30, 31 days, over and over.
        let fromMarch = (5 * ofYear + 2) / 153
        day = ofYear - (153 * fromMarch + 2) / 5 + 1
        month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        year = yearOfCycle + cycles * 400 + (month <= 2 ? 1 : 0)
    }

    /// Negative before 1970.
    var daysSinceEpoch: Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let cycles = shifted / 400
        let yearOfCycle = shifted - cycles * 400
        let fromMarch = month > 2 ? month - 3 : month + 9
        let ofYear = (153 * fromMarch + 2) / 5 + day - 1
        let ofCycle = yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + ofYear
        return cycles * Self.cycle + ofCycle - Self.toEpoch
    }

    private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
