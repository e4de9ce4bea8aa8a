package state

import (
	"encoding/json"
	"errors"
	"fmt"
)

// eachNumbered calls fn with every JSON record of a bucket whose key is a number. What else belongs to one, as how far the
// listing was read for it, has a longer key that begins with the number.
func eachNumbered[T any](t *tx, bucket string, fn func(id uint64, v T)) error {
	var failed error
	t.each(t.bucket(bucket), func(key, payload []byte) bool {
		if len(key) != 8 {
			return true
		}
		var v T
		if failed = json.Unmarshal(payload, &v); failed == nil {
			fn(numberAt(key), v)
		}
		return failed == nil
	})
	return failed
}

// numbered reads one of them; without it the error is missing.
func numbered[T any](t *tx, bucket string, id uint64, missing error) (v T, err error) {
	payload, ok, err := t.get(t.bucket(bucket), appendNumber(nil, id))
	if err != nil || !ok {
		return v, errors.Join(err, missing)
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return v, fmt.Errorf("read number %d of %s: %w", id, bucket, err)
	}
	return v, nil
}

// walkAt reads how far the listing was read; the zero HistoryWalk before the first page. A damaged one is as if the walk had
// been interrupted before its first commit.
func (t *tx) walkAt(bucket string, key []byte) (w HistoryWalk, err error) {
	payload, ok, err := t.get(t.bucket(bucket), key)
	if errors.Is(err, errBadRecord) || !ok {
		return w, nil
	}
	return w, json.Unmarshal(payload, &w)
}
