package command

import (
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	now := time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		text string
		want time.Time
		bad  bool
	}{
		{text: ""},
		{text: "2026-03-24T10:00:00Z", want: time.Date(2026, 3, 24, 10, 0, 0, 0, time.UTC)},
		{text: "2026-03-24T12:00:00+02:00", want: time.Date(2026, 3, 24, 10, 0, 0, 0, time.UTC)},
		{text: "2026-03-24", want: time.Date(2026, 3, 24, 0, 0, 0, 0, time.UTC)},
		{text: "36h", want: now.Add(-36 * time.Hour)},
		{text: "14d", want: now.Add(-14 * 24 * time.Hour)},
		{text: "2w", want: now.Add(-14 * 24 * time.Hour)},
		{text: "90m", want: now.Add(-90 * time.Minute)},
		{text: "-1h", bad: true},
		{text: "-1d", bad: true},
		{text: "d", bad: true},
		{text: "yesterday", bad: true},
		{text: "24", bad: true},
		{text: "2026-13-01", bad: true},
	} {
		got, err := when(tc.text, now)
		if (err != nil) != tc.bad || !got.Equal(tc.want) {
			t.Errorf("when(%q) = %v, %v; want %v, error %v", tc.text, got, err, tc.want, tc.bad)
		}
	}
}
