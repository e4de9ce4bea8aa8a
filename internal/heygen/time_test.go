package heygen

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	at := func(y int, mo time.Month, d, h, mi, s int) time.Time {
		return time.Date(y, mo, d, h, mi, s, 0, time.UTC)
	}
	undated := time.Time{}
	for _, tt := range []struct {
		in   string
		want time.Time
	}{
		{"2026-03-25T12:05:00Z", at(2026, 3, 25, 12, 5, 0)},
		{"2023-04-03T05:40:46.769845", at(2023, 4, 3, 5, 40, 46)},
		{"2026-03-25 12:05:00", at(2026, 3, 25, 12, 5, 0)},
		{"2026-03-25t12:05:00z", at(2026, 3, 25, 12, 5, 0)},
		{"2026-03-25T12:05:00.1Z", at(2026, 3, 25, 12, 5, 0)},
		{"2026-03-25T12:05:00.1234567Z", at(2026, 3, 25, 12, 5, 0)},
		{"2026-03-25T12:05:00.999999999Z", at(2026, 3, 25, 12, 5, 0)},
		{"2026-03-25T12:05:00+02:00", at(2026, 3, 25, 10, 5, 0)},
		{"2026-03-25T12:05:00.5-0730", at(2026, 3, 25, 19, 35, 0)},
		{"2026-03-25T00:30:00+01", at(2026, 3, 24, 23, 30, 0)},
		{"2024-02-29T00:00:00Z", at(2024, 2, 29, 0, 0, 0)},
		{"2015-01-01T00:00:00Z", at(2015, 1, 1, 0, 0, 0)},
		{"2026-04-02T12:00:00Z", at(2026, 4, 2, 12, 0, 0)},
		{"2026-04-02T12:00:01Z", undated},
		{"2014-12-31T23:59:59Z", undated},
		{"2015-01-01T00:30:00+01:00", undated},
		{"0001-01-01T00:00:00Z", undated},
		{"9999-12-31T23:59:59Z", undated},
		{"2026-02-29T00:00:00Z", undated},
		{"2026-02-30T00:00:00Z", undated},
		{"2026-13-01T00:00:00Z", undated},
		{"2026-00-01T00:00:00Z", undated},
		{"2026-03-25T24:00:00Z", undated},
		{"2026-03-25T23:59:60Z", undated},
		{"2026-03-25T12:05:00.Z", undated},
		{"2026-03-25T12:05:00.1234567890Z", undated},
		{"2026-03-25T12:05:00 Z", undated},
		{"2026-03-25T12:05:00+2:00", undated},
		{"2026-03-25T12:05:00+24:00", undated},
		{"2026-03-25T12:05:00ZZ", undated},
		{"2026-03-25T12:05:00 UTC", undated},
		{"2026-03-25T12:05", undated},
		{"2026-03-25", undated},
		{"+026-03-25T12:05:00Z", undated},
		{"1774440000", undated},
		{"yesterday", undated},
		{"", undated},
	} {
		got, ok := ParseTime(tt.in, now)
		if !got.Equal(tt.want) || ok == tt.want.IsZero() || ok && got.Location() != time.UTC {
			t.Errorf("ParseTime(%q) = %v, %v; want %v", tt.in, got, ok, tt.want)
		}
	}
}
