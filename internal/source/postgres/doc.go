// Package postgres reads an ERP's PostgreSQL into its log: rows from the write-ahead log as they
// are committed (logical replication, pgoutput), rows of before by snapshots beside the stream.
//
// A record depends on the write-ahead log and the configuration alone, so that a reader that
// goes on where another stopped writes what that one would have written. All that it must know
// for that, it finds in the tail of the log (State); the server's slot only keeps what was not
// read yet, and is told to let go of what Kafka has acknowledged.
//
// source/mysql has the same verbs and file names for the shop's side.
//
//	run.go       Run: from the tail of the log, over connections, to the records
//	stream.go    messages of pgoutput              transaction.go  their borders, and the anchor
//	relation.go  how a table's rows lie            rows.go         tuples → JSON
//	record.go    rows → records                    output.go       records → the log
//	state.go     what the tail tells               position.go     places in the write-ahead log
//	snapshot.go  chunks between watermarks         chunk.go        their rows, read and shown
//	message.go   Spola's own messages in the WAL   slot.go         the replication slot
//	types.go     columns                           preflight.go    what must be set up, and how
package postgres
