// Package state owns everything backstop must not forget: which events were listed, which of them the receiver has, how far
// every walk got, and every attempt to replay. It is one bbolt file beside a small side file, and the only importer of bbolt.
// It decides nothing: what is missed and when to send it is judged above, and this package makes the answer durable.
//
// # Transactions
//
// Every write goes through [Store.update]: concurrent callers share one transaction and one commit, and each is answered when
// its own change is on disk. What moves together is one transaction. An error of a commit other than "full" leaves unknown
// what is on disk, so the store latches: it writes no more, reads go on, and the process is expected to exit and start again.
// Everything above is written so that a transaction which was not made, or was made and reported failed, is simply redone.
//
// # Buckets
//
// Numbers in keys are big endian. A time is unix seconds in 8 bytes, 0 for none; a day is the number of UTC days since 1970 in
// 4 bytes, 0 for undated events. Every value is sealed: payload ‖ CRC-32C over key ‖ payload (bbolt has no checksum on data
// pages, so one flipped bit would be a silent wrong answer). "mem" marks what is kept in memory too.
//
//	bucket        key                               payload
//	meta          name of the setting               see meta.go: format, uuid, created, generation, base, baseline, floor,
//	                                                paired, receiver, notices, counts, restored (mem)
//	types         number 2                          event type (mem); number 0 is never given out
//	open          event id                          record with event_data: listed and unfinished
//	index         stage 1 ‖ created_at 8 ‖ id       what a scan needs without reading the record; one for each open event
//	                                                stages: s settling · l listed · m missed or replaying, live lane ·
//	                                                o the same, old lane · d dead · t twin that waits for its kept event
//	              e, f or k ‖ …                     the same events by entity, by content, and twins by kept event: index.go
//	ledger        day 4 → bucket:                   finished events, one sub-bucket a day so that a day is dropped at once
//	                created_at 8 ‖ id               status 1 ‖ proof 1 ‖ type 2 ‖ seen 8 ‖ entity hash 8 ‖ fact hash 8 ‖ flags 1 ‖
//	                                                first listed 8
//	              day 0 → bucket: id                the same, for undated events
//	details       as ledger                         attempts and story of the events that have one
//	days          day 4                             when an event of this ledger day was last handled 8, to the hour
//	inbox         sequence 8                        recorded 8 ‖ the ids of one report that no page has listed yet (mem)
//	reported      event id                          proof 1 ‖ received 8 ‖ moved past 1: imports, and reports that aged
//	credits       received 8 ‖ sequence 8           fact 16 ‖ proof 1 ‖ id ‖ told 2: one push by its content, not yet spent (mem); with
//	                                                an id it is linked: no event of that id is listed yet
//	checkpoints   kind 1 ‖ query                    the walk under way
//	marks         kind 1 ‖ query                    mark 8 ‖ completed 8 ‖ oldest 8 (mem)
//	coverage      query                             ranges, each from 8 ‖ to 8, ascending and apart (mem)
//	passes        sequence 8                        one pass; the last 1,000 are kept
//	quarantine    sum 8                             at 8 ‖ the row that could not be read, why, and where
//	acts          sequence 8                        at 8 ‖ what a person did by hand
//	backfills     number 8                          one backfill
//	              number 8 ‖ query                  how far it has read a query
//	planned       number 8 → bucket:                what a backfill has found not seen and not queued yet:
//	                created_at 8 ‖ id               record with event_data, as in open
//	positions     name of a source                  how far it has been read, as the source writes it
//	runs          number 8                          one replay that a person asked for, with its counters
//	              number 8 ‖ i ‖ number 8           some of the ids that it was asked for, in their order
//	              number 8 ‖ w ‖ query              how far it has read a query
//	resends       number 8 → bucket:                what a forced or shadow run has still to send; gone when it ends or is cancelled
//	                created_at 8 ‖ id               record with event_data, as in open
//	resent        number 8 → bucket:                what such a run has done with: sent, given up, or handed over to open (missed)
//	                created_at 8 ‖ id               record without event_data; gone with the run
//
// A query as key is event type ‖ 0 ‖ entity. Payloads not drawn byte by byte are JSON objects.
//
// # Invariants, verified by [Store.Check]
//
//   - Every value's CRC holds for its key.
//   - An open event is in no ledger day, not in the inbox and not reported. It has exactly the index keys that its record
//     makes, with the payloads that it makes. A twin waits for an open event.
//   - Event types are numbered from 1 on without a hole, and a ledger record's type has a name.
//   - A ledger record lies in the bucket of its created_at's day; a detail has a ledger record.
//   - The counts in meta are what counting again gives.
//   - Marks, floor and generation only ever move forward, and the baseline never changes.
//   - The side file's generation is not ahead of the state's, nor is its last restore.
//   - Only missed events are withheld, and no withheld one has a key 'e', which would keep the newer ones of its entity waiting.
//   - No bucket holds a number above the last that it gave out.
//   - A run that has not ended counts as waiting what waits: the unfinished events that are queued by hand with its number and
//     are not dead, and its resends. Resends and resent belong to a run, resends to one that has not ended nor was cancelled.
//
// # Compatibility
//
// The format version in meta counts incompatible changes. A newer one than this program knows is refused; an older one is
// migrated, in one transaction, by a tested function for each step. Within a version fields are only ever added: at the end of
// a binary payload (a shorter one reads as zero there), or as a new JSON name whose zero value means "as before". Numbers
// given to statuses, proofs, kinds and stages are never given to anything else.
package state
