package engine

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// A poll that waits goes before the rest of a sweep, and before a sweep that
// waited longer.
func TestTurnLetsTheHurriedGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var way turn
		var mu sync.Mutex
		var order []string
		note := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
		}
		way.take(false)
		go func() {
			way.take(false)
			note("other sweep")
			way.give()
		}()
		synctest.Wait()
		go func() {
			way.take(true)
			note("poll")
			way.give()
		}()
		synctest.Wait()
		way.yield()
		note("sweep goes on")
		way.give()
		synctest.Wait()
		if got := order[0]; got != "poll" {
			t.Errorf("first was %q, want the poll; order %v", got, order)
		}
		if !slices.Contains(order, "other sweep") || len(order) != 3 {
			t.Errorf("order %v, want all three", order)
		}
	})
}

func TestTurnYieldKeepsTheTurnWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var way turn
		way.take(false)
		way.yield()
		taken := false
		go func() {
			way.take(true)
			taken = true
			way.give()
		}()
		synctest.Wait()
		if taken {
			t.Error("the turn was given away")
		}
		way.give()
		synctest.Wait()
		if !taken {
			t.Error("the turn was not given")
		}
	})
}
