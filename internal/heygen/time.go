package heygen

import "time"

// earliest is the first moment an event can be from; HeyGen is younger.
const earliest = 2015

// ParseTime reads created_at in the forms HeyGen's services write it: a date
// and a time, with T or a space between, 0–9 digits of a fraction, and Z, an
// offset, or no zone, which is UTC. The result is in whole UTC seconds, the
// fraction cut. False means undated: not of that form, no such date, or
// outside 2015 … now + 1 day.
func ParseTime(s string, now time.Time) (time.Time, bool) {
	t, ok := parseTime(s)
	if !ok || t.Year() < earliest || t.After(now.Add(24*time.Hour)) {
		return time.Time{}, false
	}
	return t, true
}

func parseTime(s string) (time.Time, bool) {
	const form = "2006-01-02T15:04:05"
	if len(s) < len(form) || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' || !between(s[10]) {
		return time.Time{}, false
	}
	year, ok1 := number(s[0:4], 0, 9999)
	month, ok2 := number(s[5:7], 1, 12)
	day, ok3 := number(s[8:10], 1, 31)
	hour, ok4 := number(s[11:13], 0, 23)
	minute, ok5 := number(s[14:16], 0, 59)
	second, ok6 := number(s[17:19], 0, 59)
	offset, ok7 := zone(fraction(s[len(form):]))
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date takes 30 February for 1 or 2 March; that is no date.
	return t.Add(-offset), t.Day() == day
}

func between(c byte) bool { return c == 'T' || c == 't' || c == ' ' }

// number reads a decimal number of fixed width that lies in [low, high].
func number(s string, low, high int) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, low <= n && n <= high
}

// fraction takes a fraction of 1–9 digits off the front. Anything else stays
// and is then no zone either.
func fraction(s string) string {
	if s == "" || s[0] != '.' {
		return s
	}
	n := 1
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 1 || n > 10 {
		return s
	}
	return s[n:]
}

// zone reads "", "Z", "±hh", "±hhmm" or "±hh:mm".
func zone(s string) (time.Duration, bool) {
	if s == "" || s == "Z" || s == "z" {
		return 0, true
	}
	sign := time.Duration(1)
	switch s[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false
	}
	digits := s[1:]
	if len(digits) == 5 && digits[2] == ':' {
		digits = digits[:2] + digits[3:]
	}
	if len(digits) == 2 {
		digits += "00"
	}
	if len(digits) != 4 {
		return 0, false
	}
	hours, ok1 := number(digits[:2], 0, 23)
	minutes, ok2 := number(digits[2:], 0, 59)
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute), ok1 && ok2
}
