package main

import (
	"fmt"
	"math"
	"strings"
)

// The plot's size and the room for its axes, in pixels.
const (
	plotWidth, plotHeight = 720, 300
	plotLeft, plotBottom  = 60, 40
	plotTop, plotRight    = 36, 20
)

// plot draws the memory of a walk over the events that it had read, as SVG. The
// speed of a walk is even enough to take time for events.
func plot(samples []memory, seconds float64, events int) string {
	top := 32.0
	for _, m := range samples {
		top = math.Max(top, math.Ceil(m.RSS/32)*32)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14">Memory of reconcile over a history of %d events, MiB</text>`+"\n", plotLeft, events)
	x := func(share float64) float64 { return plotLeft + share*(plotWidth-plotLeft-plotRight) }
	y := func(mib float64) float64 { return plotHeight - plotBottom - mib/top*(plotHeight-plotBottom-plotTop) }
	for i := range 5 {
		mib := top * float64(i) / 4
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
			plotLeft, y(mib), plotWidth-plotRight, plotLeft-8, y(mib)+4, mib)
		share := float64(i) / 4
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`+"\n", x(share), plotHeight-plotBottom+18, share*float64(events))
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">events read</text>`+"\n", x(0.5), plotHeight-6)
	line(&b, samples, "#1f6fb4", "resident (with pages of the file)", 0, func(m memory) (float64, float64) { return x(m.Seconds / seconds), y(m.RSS) })
	line(&b, samples, "#c0392b", "anonymous", 1, func(m memory) (float64, float64) { return x(m.Seconds / seconds), y(m.Anonymous) })
	b.WriteString("</svg>\n")
	return b.String()
}

func line(b *strings.Builder, samples []memory, colour, name string, place int, at func(memory) (x, y float64)) {
	points := make([]string, len(samples))
	for i, m := range samples {
		x, y := at(m)
		points[i] = fmt.Sprintf("%.1f,%.1f", x, y)
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", colour, strings.Join(points, " "))
	left := plotWidth - plotRight - 220*(2-place)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">— %s</text>`+"\n", left, plotTop, colour, name)
}
