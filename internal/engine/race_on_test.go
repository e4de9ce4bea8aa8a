//go:build race

package engine

// Everything takes five times as long with the race detector.
const (
	slow       = true
	usualSeeds = 40
)
