package policy

import (
	"cmp"
	"strconv"
	"strings"
)

// instant is a point in time: seconds since 1970 and nanoseconds. IAM takes years from -292275054 to 292278993, the
// range of Java's milliseconds.
type instant struct {
	seconds int64
	nanos   int32
}

func (t *instant) compare(u *instant) int {
	if t.seconds != u.seconds {
		return cmp.Compare(t.seconds, u.seconds)
	}
	return cmp.Compare(t.nanos, u.nanos)
}

const (
	minYear = -292275054
	maxYear = 292278993
)

// parseInstant reads epoch seconds (digits alone, at most 2^63-1) or the W3C subset of ISO 8601. Like IAM it takes a
// lower-case t and z, hours alone, one digit where two are usual, and no zone at all, which is UTC.
func parseInstant(s string) (t instant, ok bool) {
	at := strings.IndexAny(s, "tT")
	if at < 0 && strings.IndexByte(s, '-') < 0 {
		whole, fraction, dot := strings.Cut(s, ".")
		n, ok := parseDigits(whole, 19)
		if !ok {
			return t, false
		}
		t.seconds = n
		if dot {
			t.nanos, ok = parseNanos(fraction)
		}
		return t, ok
	}
	date, clock := s, ""
	if at >= 0 {
		date, clock = s[:at], s[at+1:]
	}
	days, ok := parseDate(date)
	if !ok {
		return t, false
	}
	t.seconds = days * 86400
	if clock == "" {
		return t, true
	}
	seconds, nanos, ok := parseClock(clock)
	t.seconds += seconds
	t.nanos = nanos
	return t, ok
}

// parseDigits reads an unsigned number of at most so many digits.
func parseDigits(s string, most int) (int64, bool) {
	if len(s) == 0 || len(s) > most || !digitsOnly(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func parseNanos(s string) (int32, bool) {
	n, ok := parseDigits(s, 9)
	for i := len(s); i < 9; i++ {
		n *= 10
	}
	return int32(n), ok
}

// parseDate reads [-]year[-month[-day]] and returns days since 1970.
func parseDate(s string) (int64, bool) {
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign, s = -1, s[1:]
	}
	month, day := int64(1), int64(1)
	text, rest, more := strings.Cut(s, "-")
	year, ok := parseDigits(text, 9)
	if year *= sign; !ok || year < minYear || year > maxYear {
		return 0, false
	}
	if more {
		text, rest, more = strings.Cut(rest, "-")
		if month, ok = parseDigits(text, 2); !ok || month < 1 || month > 12 {
			return 0, false
		}
	}
	if more {
		if day, ok = parseDigits(rest, 2); !ok || day < 1 || day > 31 {
			return 0, false
		}
	}
	return daysSince1970(year, month, day), true
}

// daysSince1970 counts in the Gregorian calendar, with the year beginning in March so that the leap day is its last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

// parseClock reads hh[:mm[:ss[.s]]] and a zone: Z, or + or - and hh[:mm].
func parseClock(s string) (seconds int64, nanos int32, ok bool) {
	zone := int64(0)
	if i := strings.IndexAny(s, "zZ+-"); i >= 0 {
		if zone, ok = parseZone(s[i:]); !ok || strings.IndexByte(s[:i], ':') < 0 {
			return 0, 0, false // hours alone have no zone
		}
		s = s[:i]
	}
	unit, most := int64(3600), int64(23)
	for unit > 0 {
		text, rest, more := strings.Cut(s, ":")
		if unit == 1 {
			var fraction string
			var dot bool
			text, fraction, dot = strings.Cut(s, ".")
			more = false
			if dot {
				if nanos, ok = parseNanos(fraction); !ok {
					return 0, 0, false
				}
			}
		}
		n, ok := parseDigits(text, 2)
		if !ok || n > most {
			return 0, 0, false
		}
		seconds += n * unit
		if !more {
			return seconds - zone, nanos, true
		}
		s, unit, most = rest, unit/60, 59
	}
	return 0, 0, false
}

// parseZone reads a zone and returns its seconds east of Greenwich.
func parseZone(s string) (int64, bool) {
	if s == "z" || s == "Z" {
		return 0, true
	}
	sign := int64(1)
	if s[0] == '-' {
		sign = -1
	}
	hh, mm, more := strings.Cut(s[1:], ":")
	if len(hh) == 4 && !more { // the basic form +hhmm
		hh, mm, more = hh[:2], hh[2:], true
	}
	hours, ok := parseDigits(hh, 2)
	if !ok || len(hh) != 2 || hours > 23 {
		return 0, false
	}
	minutes := int64(0)
	if more {
		if minutes, ok = parseDigits(mm, 2); !ok || len(mm) != 2 || minutes > 59 {
			return 0, false
		}
	}
	return sign * (hours*3600 + minutes*60), true
}
