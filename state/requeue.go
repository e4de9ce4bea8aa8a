package state

// Requeued answers for one id what Requeue or Ignore did.
type Requeued struct {
	ID     string
	Was    Status // 0: unknown
	Queued bool   // it was changed
	Note   string // for people; "" when there is nothing to add
}
