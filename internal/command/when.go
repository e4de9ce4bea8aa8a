package command

import (
	"fmt"
	"strconv"
	"time"
)

// when reads --since and --until: RFC 3339, a date (midnight UTC), or an age
// such as 36h, 14d or 2w. An empty text is the zero time.
func when(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	if age, err := parseAge(text); err == nil {
		return now.Add(-age).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-03-25T12:05:00Z, 2026-03-25, or an age such as 36h, 14d, 2w", text)
}

// parseAge reads a duration that may also count days and weeks.
func parseAge(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit, long := units[text[len(text)-1]]
	if !long {
		age, err := time.ParseDuration(text)
		if err == nil && age < 0 {
			err = fmt.Errorf("%q is negative", text)
		}
		return age, err
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
	return time.Duration(n) * unit, err
}
