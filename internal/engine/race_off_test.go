//go:build !race

package engine

// usualSeeds is how many seeds the simulation runs unless it is told.
const (
	slow       = false
	usualSeeds = 150
)
