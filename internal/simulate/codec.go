package simulate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// The streams keep the draws for one purpose apart from those for another, so that one more
// draw here changes nothing there.
const (
	streamShape uint64 = (iota + 1) << 56
	streamData
	streamTime
	streamAnswer
	streamFate
	streamRate
	streamID
	streamEntity
	streamOrder
	streamRequest
)

// mix is a bijection on 64 bits (the finalizer of splitmix64): different numbers never meet.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draws returns the random numbers that belong to the nth thing of a stream.
func draws(seed, stream, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(mix(seed^stream), mix(n)))
}

// name writes n as 32 hex digits that only the seed can read back: sixteen to check by, sixteen
// that hide the number.
func name(seed, stream, n uint64) string {
	check := mix(mix(seed^stream) ^ n)
	return fmt.Sprintf("%016x%016x", check, n^mix(check))
}

// number reads back what name wrote; false for any other text.
func number(seed, stream uint64, text string) (uint64, bool) {
	if len(text) != 32 {
		return 0, false
	}
	check, err := strconv.ParseUint(text[:16], 16, 64)
	if err != nil {
		return 0, false
	}
	hidden, err := strconv.ParseUint(text[16:], 16, 64)
	if err != nil {
		return 0, false
	}
	n := hidden ^ mix(check)
	return n, name(seed, stream, n) == text
}

// cursor is a place in a listing. It names an event, not an offset, so that events listed in
// the meantime move nothing.
type cursor struct {
	begin bool   // before the first event
	after uint64 // else: behind this one
	salt  uint8  // tells apart two cursors to one place, which an empty page needs
}

const (
	cursorBytes = 10
	macBytes    = 8
)

// encode writes a cursor with a short MAC over the query and order it belongs to. The padded
// standard alphabet is deliberate: its +, / and = break a client that does not escape.
func (c cursor) encode(key []byte, scope string) string {
	raw := make([]byte, cursorBytes, cursorBytes+macBytes)
	if c.begin {
		raw[0] = 1
	}
	raw[1] = c.salt
	binary.BigEndian.PutUint64(raw[2:], c.after)
	return base64.StdEncoding.EncodeToString(append(raw, cursorMAC(key, scope, raw)...))
}

// decodeCursor reads what encode wrote; false when it was altered, comes from another world or
// belongs to another query.
func decodeCursor(key []byte, scope, token string) (cursor, bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != cursorBytes+macBytes {
		return cursor{}, false
	}
	if !hmac.Equal(raw[cursorBytes:], cursorMAC(key, scope, raw[:cursorBytes])) {
		return cursor{}, false
	}
	return cursor{begin: raw[0] == 1, salt: raw[1], after: binary.BigEndian.Uint64(raw[2:])}, true
}

func cursorMAC(key []byte, scope string, raw []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(raw)
	h.Write([]byte(scope))
	return h.Sum(nil)[:macBytes]
}
