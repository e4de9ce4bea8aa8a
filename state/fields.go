package state

import (
	"encoding/binary"
	"time"
)

// reader takes the fields of a binary payload one by one. What lies behind its end reads as zero, so that a payload may
// grow at its end; the checksum around every payload has already told damage from age.
type reader []byte

func (h *reader) take(n int) []byte {
	n = min(n, len(*h))
	b := (*h)[:n]
	*h = (*h)[n:]
	return b
}

func (h *reader) one() byte {
	if b := h.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (h *reader) number() uint64 { return numberAt(h.take(8)) }

func (h *reader) uvarint() uint64 {
	n, size := binary.Uvarint(*h)
	if size <= 0 {
		*h = nil
		return 0
	}
	*h = (*h)[size:]
	return n
}

func (h *reader) bytes() []byte {
	n := h.uvarint()
	return h.take(int(min(n, uint64(len(*h)))))
}

func (h *reader) text() string { return string(h.bytes()) }

func (h *reader) moment() time.Time {
	n := h.number()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC()
}

func (h *reader) uvarints() []uint64 {
	var list []uint64
	for range min(h.uvarint(), uint64(len(*h))) { // each takes a byte or more
		list = append(list, h.uvarint())
	}
	return list
}

func appendUvarints(b []byte, list []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendMoment appends unix nanoseconds, 0 for the zero time.
func appendMoment(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendNumber(b, 0)
	}
	return appendNumber(b, uint64(t.UnixNano()))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
