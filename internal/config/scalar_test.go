package config_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"backstop/internal/config"
)

func TestDurations(t *testing.T) {
	tests := []struct {
		text  string
		want  time.Duration
		again string // "": as text
	}{
		{"0", 0, "0s"},
		{"5s", 5 * time.Second, ""},
		{"90s", 90 * time.Second, "1m30s"},
		{"1h30m", 90 * time.Minute, ""},
		{"1.5h", 90 * time.Minute, "1h30m"},
		{"24h", 24 * time.Hour, ""},
		{"48h", 48 * time.Hour, ""},
		{"2d", 48 * time.Hour, "48h"},
		{"1d12h", 36 * time.Hour, "36h"},
		{"0.5d", 12 * time.Hour, "12h"},
		{"2w", 14 * 24 * time.Hour, "14d"},
		{"90d", 90 * 24 * time.Hour, ""},
		{"150ms", 150 * time.Millisecond, ""},
		{"1h0m5s", time.Hour + 5*time.Second, ""},
	}
	for _, tt := range tests {
		got, err := config.ParseDuration(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.text, got, err, tt.want)
		}
		if tt.again == "" {
			tt.again = tt.text
		}
		if again := config.FormatDuration(got); again != tt.again {
			t.Errorf("%s is written %s, want %s", tt.text, again, tt.again)
		}
	}
	for _, text := range []string{"", "5", "-5s", "+5s", "1e3s", "5 s", "s", "d", "1y", "1.2.3h", "5S", "36501d", "9223372036854775807h", "18446744073709551616w"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	tests := []struct {
		text string
		want int64
	}{
		{"4GiB", 4 << 30}, {"500MB", 500_000_000}, {"64KiB", 64 << 10}, {"100B", 100}, {"1TiB", 1 << 40},
	}
	for _, tt := range tests {
		got, err := config.ParseSize(tt.text)
		if err != nil || got != tt.want || config.FormatSize(got) != tt.text {
			t.Errorf("%s: %d, %v, written %s", tt.text, got, err, config.FormatSize(got))
		}
	}
	for _, text := range []string{"", "4", "4G", "4gib", "-4GiB", "GiB", "4GiB4", "99999999999TiB"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func TestFormatsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(3000*24*time.Hour)).Draw(t, "duration"))
		if got, err := config.ParseDuration(config.FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is written %s and read %v, %v", d, config.FormatDuration(d), got, err)
		}
		n := rapid.Int64Range(0, 1<<50).Draw(t, "size")
		if got, err := config.ParseSize(config.FormatSize(n)); err != nil || got != n {
			t.Fatalf("%d is written %s and read %d, %v", n, config.FormatSize(n), got, err)
		}
	})
}
