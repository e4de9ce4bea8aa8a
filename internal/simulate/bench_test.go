package simulate

import (
	"testing"
	"time"
)

// A page must cost little beside what its reader does with it: the simulator stands in for
// HeyGen in measurements, too.
func BenchmarkPage(b *testing.B) {
	w := New(Options{Seed: 1, Events: 1_000_000, Start: begin()})
	req := request{order: Newest, from: cursor{after: 500_000}, limit: 100}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(w.page(req, time.Time{}))))
	}
}
