//! The time of day that templates may print, and Python's `strftime` for it.
//!
//! This crate reads no clock and no time zone: the caller says what time it is.

/// A moment in the user's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    seconds: i64,
    /// Days since 1970-01-01.
    days: i64,
    year: i64,
    /// 1 to 12.
    month: u8,
    /// 1 to 31.
    day: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAY: i64 = 86_400;

impl LocalTime {
    /// From seconds since 1970-01-01 00:00 UTC plus the seconds that the time zone is ahead of UTC.
    ///
    /// Times beyond the years 0 to 9999 are taken as the nearest time inside.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        // 0000-01-01 and 9999-12-31 23:59:59.
        let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
        let days = seconds.div_euclid(DAY);
        // Days to a date in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
        // algorithms"): eras of 400 years that begin in March, so that the leap day is the last of its year.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { seconds: seconds.rem_euclid(DAY), days, year, month: month as u8, day: day as u8 }
    }

    /// The time as text; the directives of Python's `strftime` in the C locale, unknown ones left as they are.
    pub fn format(&self, format: &str) -> String {
        let mut text = String::new();
        let mut rest = format.chars();
        while let Some(character) = rest.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            // `%-d` leaves out the padding (glibc).
            let mut ahead = rest.clone();
            let (padded, directive) = match ahead.next() {
                Some('-') => (false, ahead.next()),
                other => (true, other),
            };
            match directive.and_then(|directive| self.directive(directive)) {
                Some(part) if padded => text.push_str(&part),
                Some(part) => {
                    let digits = part.trim_start_matches(['0', ' ']);
                    text.push_str(if digits.is_empty() { "0" } else { digits });
                }
                None => {
                    text.push('%');
                    continue;
                }
            }
            rest = ahead;
        }
        text
    }

    fn directive(&self, directive: char) -> Option<String> {
        let (hour, minute, second) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        let half_day_hour = (hour + 11) % 12 + 1;
        // 1970-01-01 was a Thursday.
        let weekday = (self.days + 4).rem_euclid(7);
        let month = MONTHS[usize::from(self.month - 1)];
        let weekday_name = WEEKDAYS[weekday as usize];
        Some(match directive {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year.rem_euclid(100)),
            'C' => format!("{:02}", self.year / 100),
            'm' => format!("{:02}", self.month),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.day_of_year()),
            'A' => weekday_name.to_owned(),
            'a' => weekday_name[..3].to_owned(),
            'w' => weekday.to_string(),
            'u' => (if weekday == 0 { 7 } else { weekday }).to_string(),
            'H' => format!("{hour:02}"),
            'I' => format!("{half_day_hour:02}"),
            'p' => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'f' => "000000".to_owned(),
            'F' => self.format("%Y-%m-%d"),
            'T' | 'X' => self.format("%H:%M:%S"),
            'R' => self.format("%H:%M"),
            'D' | 'x' => self.format("%m/%d/%y"),
            'c' => self.format("%a %b %e %H:%M:%S %Y"),
            // Python prints nothing for a time without a zone.
            'z' | 'Z' => String::new(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }

    fn day_of_year(&self) -> u16 {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        lengths[..usize::from(self.month - 1)].iter().sum::<u16>() + u16::from(self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_as_python_prints_them() {
        let all = "%Y-%m-%d %H:%M:%S|%y %b %B %a %A|%j %I %p %w %u|%e %-d %-m %-H|%c|%x %X %F %T|%%|%q %";
        let cases = [
            (
                0,
                "1970-01-01 00:00:00|70 Jan January Thu Thursday|001 12 AM 4 4| 1 1 1 0|Thu Jan  1 00:00:00 1970|01/01/70 00:00:00 1970-01-01 00:00:00|%|%q %",
            ),
            (
                1_709_211_845,
                "2024-02-29 13:04:05|24 Feb February Thu Thursday|060 01 PM 4 4|29 29 2 13|Thu Feb 29 13:04:05 2024|02/29/24 13:04:05 2024-02-29 13:04:05|%|%q %",
            ),
            (
                1_798_761_599,
                "2026-12-31 23:59:59|26 Dec December Thu Thursday|365 11 PM 4 4|31 31 12 23|Thu Dec 31 23:59:59 2026|12/31/26 23:59:59 2026-12-31 23:59:59|%|%q %",
            ),
            (
                -86_400,
                "1969-12-31 00:00:00|69 Dec December Wed Wednesday|365 12 AM 3 3|31 31 12 0|Wed Dec 31 00:00:00 1969|12/31/69 00:00:00 1969-12-31 00:00:00|%|%q %",
            ),
        ];
        for (seconds, expected) in cases {
            assert_eq!(LocalTime::from_unix_seconds(seconds).format(all), expected);
        }
        assert_eq!(LocalTime::from_unix_seconds(i64::MAX).format("%F %T"), "9999-12-31 23:59:59");
        assert_eq!(LocalTime::from_unix_seconds(i64::MIN).format("%F %j"), "0-01-01 001");
    }
}
