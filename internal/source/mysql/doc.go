// Package mysql reads a shop's MySQL or MariaDB into its log: rows from the binary log as they
// are committed, rows of before by snapshots beside the stream.
//
// Rows are decoded from the bytes of the binary log straight into the JSON of their records. A
// record depends on the binary log and the configuration alone, so that a reader that goes on
// where another stopped writes what that one would have written. All that it must know for
// that, it finds in the tail of the log (State).
//
//	run.go       Run: from the tail of the log, over connections, to the records
//	stream.go    events of the binary log          transaction.go  their borders, and the anchor
//	tablemap.go  how a table's rows lie            rows.go         row images → JSON
//	record.go    rows → records                    output.go       records → the log
//	state.go     what the tail tells               gtid.go         positions of both servers
//	snapshot.go  chunks between watermarks         chunk.go        their rows, read and shown (text.go)
//	marker.go    Spola's table in the shop         ddl.go          what statements mean
//	types.go     columns of both servers           preflight.go    what must be set up, and how
package mysql
