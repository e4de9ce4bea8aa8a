package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parsers below take the text of one value. Their errors are what follows
// the quoted text: `"5" is a bare number, write 5s`.

var (
	bareNumber    = regexp.MustCompile(`^[+-]?[0-9.]+$`)
	durationWhole = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(w|d|h|ms|us|µs|ns|m|s))+$`)
	durationPart  = regexp.MustCompile(`([0-9.]+)(w|d|h|ms|us|µs|ns|m|s)`)
	sizeWhole     = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([KMGT]i?B|B)$`)
)

// longest is more than anybody waits for and far from an overflow.
const longest = 36500 * day

// ParseDuration reads what time.ParseDuration reads, and days (d) and weeks
// (w). It takes neither a sign nor a number without a unit, but for 0.
func ParseDuration(text string) (time.Duration, error) {
	switch {
	case text == "0":
		return 0, nil
	case strings.HasPrefix(text, "-"):
		return 0, errors.New("is negative, write a duration like 30s, 5m, 12h or 7d")
	case bareNumber.MatchString(text):
		return 0, fmt.Errorf("is a bare number, write %ss", strings.TrimPrefix(text, "+"))
	case !durationWhole.MatchString(text):
		return 0, errors.New("is no duration, write one like 30s, 5m, 12h, 7d or 2w")
	}
	var sum time.Duration
	for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
		d, err := durationOf(part[1], part[2])
		if sum += d; err != nil || sum > longest {
			return 0, errors.New("is too long, write less than 100 years")
		}
	}
	return sum, nil
}

func durationOf(number, unit string) (time.Duration, error) {
	factor := map[string]time.Duration{"d": 24, "w": 7 * 24}[unit]
	if factor == 0 {
		factor = 1
	} else {
		unit = "h"
	}
	d, err := time.ParseDuration(number + unit)
	if err != nil || d > longest/factor {
		return 0, errors.New("too long")
	}
	return d * factor, nil
}

// FormatDuration writes a duration the way people write it in the file.
func FormatDuration(d time.Duration) string {
	if d > 2*day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if d >= time.Minute && strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func durationFrom(least time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := ParseDuration(text)
		if err == nil && d < least {
			err = fmt.Errorf("is too short, write %s or more", FormatDuration(least))
		}
		return d, err
	}
}

// ParseSize reads a number of bytes: 4GiB, 500MB, 64KiB, 100B.
func ParseSize(text string) (int64, error) {
	parts := sizeWhole.FindStringSubmatch(text)
	switch {
	case bareNumber.MatchString(text):
		return 0, errors.New("is a bare number, write its unit: 4GiB, 500MB")
	case parts == nil:
		return 0, errors.New("is no size, write one like 4GiB or 500MB")
	}
	number, err := strconv.ParseFloat(parts[1], 64)
	bytes := number * float64(units()[slices.IndexFunc(units(), func(u unit) bool { return u.name == parts[2] })].bytes)
	if err != nil || bytes >= 1<<62 {
		return 0, errors.New("is too large, write one like 4GiB")
	}
	return int64(bytes), nil
}

type unit struct {
	name  string
	bytes int64
}

// units are in the order in which FormatSize tries them.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
	}
}

// FormatSize writes a number of bytes in the largest unit that keeps it whole.
func FormatSize(bytes int64) string {
	for _, u := range units() {
		if bytes%u.bytes == 0 && bytes >= u.bytes {
			return fmt.Sprintf("%d%s", bytes/u.bytes, u.name)
		}
	}
	return "0B"
}

func sizeFrom(least int64) func(string) (int64, error) {
	return func(text string) (int64, error) {
		n, err := ParseSize(text)
		if err == nil && n < least {
			err = fmt.Errorf("is too small, write %s or more", FormatSize(least))
		}
		return n, err
	}
}

func integer(least, most int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("does not do, write a whole number from %d to %d", least, most)
		}
		return n, nil
	}
}

func rate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > 10000 {
		return 0, errors.New("does not do, write requests a second from 0 (no limit) to 10000")
	}
	return n, nil
}

func oneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("is not known, write %s", orList(words))
		}
		return text, nil
	}
}

func level(text string) (slog.Level, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[text]
	if !ok {
		return 0, errors.New("is not known, write debug, info, warn or error")
	}
	return l, nil
}

func start(text string) (Start, error) {
	switch text {
	case "now":
		return Start{}, nil
	case "beginning":
		return Start{Beginning: true}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return Start{At: t.UTC()}, nil
		}
	}
	return Start{}, errors.New("is no start, write now, beginning, or a time like 2026-01-31T12:00:00Z")
}

// timezone takes names of the tz database only: Local depends on a TZ that
// may be missing, and then is silently UTC.
func timezone(text string) (*time.Location, error) {
	if text != "" && text != "Local" {
		if tz, err := time.LoadLocation(text); err == nil {
			return tz, nil
		}
	}
	return nil, errors.New("is no time zone, write UTC or a name like Europe/Berlin")
}

func path(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("is no path, write one or remove the line")
	case hasControl(text):
		return "", errors.New("holds a control character, write a plain path")
	}
	return text, nil
}

// socketMax is what fits into the kernel's address of a unix socket.
const socketMax = 107

func socketPath(text string) (string, error) {
	switch {
	case text == "":
		return "", nil
	case strings.HasPrefix(text, "unix:"):
		return "", errors.New("is an address, write the path of the socket alone")
	case len(text) > socketMax:
		return "", fmt.Errorf("is too long for a socket, write a path of at most %d bytes", socketMax)
	}
	return path(text)
}

// word is for what travels in a query or a header: printable, no spaces.
func word(text string) (string, error) {
	if text == "" || len(text) > 512 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("does not do, write printable ASCII without spaces")
	}
	return text, nil
}

func optionalWord(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return word(text)
}

// some is any text but none.
func some(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", errors.New("says nothing, write a value or remove the line")
	}
	return text, nil
}

func yesNo(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("is neither, write true or false")
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 })
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
