package state

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// sumLen is the length of the checksum that ends every sealed value.
const sumLen = 4

// daySeconds is the length of a UTC day.
const daySeconds = 24 * 60 * 60

// errBadRecord says that a value's checksum does not hold for its key.
var errBadRecord = errors.New("record is damaged: its checksum does not hold")

// seal returns payload with the CRC-32C of key ‖ payload behind it. The key is in the sum so that a value which ended up
// under another key is caught too.
func seal(key, payload []byte) []byte {
	sealed := make([]byte, len(payload), len(payload)+sumLen)
	copy(sealed, payload)
	return binary.BigEndian.AppendUint32(sealed, checksum(key, payload))
}

// unseal returns the payload of a sealed value, and false when the checksum does not hold. The payload shares sealed's memory.
func unseal(key, sealed []byte) ([]byte, bool) {
	if len(sealed) < sumLen {
		return nil, false
	}
	payload, sum := sealed[:len(sealed)-sumLen], sealed[len(sealed)-sumLen:]
	return payload, checksum(key, payload) == binary.BigEndian.Uint32(sum)
}

func checksum(key, payload []byte) uint32 {
	// MakeTable answers the shared Castagnoli table, which the standard library computes in hardware.
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, key), table, payload)
}

// appendTime appends t as unix seconds in 8 bytes, 0 for the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendNumber(b, 0)
	}
	return appendNumber(b, uint64(t.Unix()))
}

// timeAt reads what appendTime wrote at the start of b; the zero time for a shorter b.
func timeAt(b []byte) time.Time {
	seconds := numberAt(b)
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

func appendNumber(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(b, n)
}

// numberAt reads 8 big-endian bytes at the start of b; 0 for a shorter b.
func numberAt(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// dayOf is the ledger day of an event's created_at: UTC days since 1970, and 0 for undated events.
func dayOf(created time.Time) uint32 {
	if created.IsZero() {
		return 0
	}
	return uint32(created.Unix() / daySeconds)
}

// dayStart is the first second of a ledger day.
func dayStart(day uint32) time.Time {
	return time.Unix(int64(day)*daySeconds, 0).UTC()
}

// dayKey is the key of a ledger day's sub-bucket.
func dayKey(day uint32) []byte {
	return binary.BigEndian.AppendUint32(nil, day)
}

// tail returns what lies behind the first n bytes of b, nothing when b is shorter: the reading half of the rule that binary
// payloads only ever grow at their end.
func tail(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	return b[n:]
}
