package poller

import (
	"testing"
	"time"

	"backstop/internal/heygen"
)

func TestOrderOf(t *testing.T) {
	for _, tt := range []struct {
		name    string
		minutes []int // of each row; -1: undated
		want    string
	}{
		{"none", nil, ""},
		{"one", []int{5}, ""},
		{"one dated", []int{5, -1}, ""},
		{"all at one moment", []int{5, 5, 5}, ""},
		{"falling", []int{30, 20, 20, -1, 10}, NewestFirst},
		{"rising", []int{10, 20, 30}, OldestFirst},
		{"close together, and strictly falling", []int{3, 2, 1}, NewestFirst},
		{"close together, without order", []int{3, 1, 2}, ""},
		{"falling, one out of place by less than the slack", []int{90, 60, 61, 30}, NewestFirst},
		{"rising, one out of place by less than the slack", []int{30, 61, 60, 90}, OldestFirst},
		{"without order", []int{90, 10, 60, 30}, NoOrder},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rows []heygen.Event
			for _, m := range tt.minutes {
				row := heygen.Event{}
				if m >= 0 {
					row.CreatedAt = time.Unix(1_750_000_000, 0).Add(time.Duration(m) * time.Minute)
				}
				rows = append(rows, row)
			}
			if got := OrderOf(rows, 15*time.Minute); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
