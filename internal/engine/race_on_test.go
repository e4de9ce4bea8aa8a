//go:build race

package engine

// usualSeeds are fewer where everything takes five times as long.
const usualSeeds = 60
