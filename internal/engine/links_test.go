package engine

import (
	"testing"

	"backstop/internal/config"
)

// Whatever is configured, a replay's turn to look its links up comes within half
// of the time that it has.
func TestLookUpRate(t *testing.T) {
	for _, tt := range []struct {
		rate        float64
		concurrency int
		want        float64
	}{
		{2, 4, 2}, {0.5, 4, 2}, {2, 1, 2}, {10, 4, 10}, {2, 100, 50}, {0, 100, 0},
	} {
		cfg := config.Default()
		cfg.Heygen.Rate, cfg.Replay.Concurrency = tt.rate, tt.concurrency
		if got := lookUpRate(cfg); got != tt.want {
			t.Errorf("%v a second, %d at once: %v, want %v", tt.rate, tt.concurrency, got, tt.want)
		}
	}
}
