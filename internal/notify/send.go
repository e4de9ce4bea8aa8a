package notify

import (
	"context"

	"golang.org/x/sync/errgroup"

	"backstop/internal/heygen"
)

// Sent is what came of a notice on one channel.
type Sent struct {
	Channel string // url, command
	Failing string // why it was not taken; "": it was
}

// send gives a notice to all channels side by side: one that hangs keeps none of
// the others waiting. Each has a limit of its own.
func (t *Teller) send(ctx context.Context, n Notice) []Sent {
	all := make([]Sent, len(t.channels))
	var group errgroup.Group // none ends because another failed
	for i, c := range t.channels {
		group.Go(func() error {
			all[i].Channel = c.name
			if err := c.send(ctx, n); err != nil {
				all[i].Failing = heygen.Clean(err.Error(), t.options.Secrets()...)
			}
			return nil
		})
	}
	_ = group.Wait() // each has said it in its place
	return all
}

// Test sends a notice that says it is a test through every channel, and tells what
// came of each; nil where there is none. Nothing is written down, and no store is
// needed. receiver is the URL of the receiver, for the notice.
func (t *Teller) Test(ctx context.Context, receiver string) []Sent {
	if t == nil || len(t.channels) == 0 {
		return nil
	}
	return t.send(ctx, Notice{
		Text: "backstop: this is a test; notices arrive here. Nothing is wrong.", Condition: "test", State: "test",
		Receiver: receiver, Version: t.options.Version, Hint: "Nothing is to be done.",
	})
}
