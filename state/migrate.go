package state

import (
	"encoding/binary"
	"fmt"
)

// migration brings a file from one format version to the next.
type migration struct {
	from  uint32
	apply func(t *tx) error
}

// migrations are in order, one for each version that ever was. Version 1 is the first.
func migrations() []migration { return nil }

// migrate applies what leads from the file's version to the newest one that steps lead to.
func (t *tx) migrate(steps []migration) error {
	version, err := t.readFormat()
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.from != version {
			continue
		}
		if err := step.apply(t); err != nil {
			return fmt.Errorf("migrate the state from format %d: %w; the file is as it was: use the backstop that wrote it", version, err)
		}
		version++
		if err := t.putMeta(metaFormat, binary.BigEndian.AppendUint32(nil, version)); err != nil {
			return err
		}
	}
	return nil
}
