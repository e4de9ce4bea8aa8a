package state

import "sync"

// typeTable is the memory of the bucket types. Numbers are given out in order from 1, so the table is a list.
type typeTable struct {
	mu      sync.RWMutex
	names   []string // names[i] has number i+1
	numbers map[string]uint16
}

func (t *typeTable) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.numbers == nil {
		t.numbers = make(map[string]uint16)
	}
	t.names = append(t.names, name)
	t.numbers[name] = uint16(len(t.names))
}

func (t *typeTable) number(name string) (uint16, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, ok := t.numbers[name]
	return n, ok
}

func (t *typeTable) name(n uint16) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n == 0 || int(n) > len(t.names) {
		return ""
	}
	return t.names[n-1]
}

func (t *typeTable) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.names)
}

// loadTypes fills the table. A damaged name keeps its number, with an empty name, so that the numbers behind it hold.
func (t *tx) loadTypes() {
	c := t.bucket(bucketTypes).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		name, _ := unseal(k, v)
		t.s.types.add(string(name))
	}
}
