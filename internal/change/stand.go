package change

// Stand is how far an applier has come in a log, as its target database keeps it together with
// the effect.
type Stand struct {
	Place         // of the last record applied
	Applied int64 // records applied, over all generations
	Offset  int64 // Kafka offset of the last record; a hint where to read on, -1 if unknown
	Time    int64 // commit time of the last record at the source, ms since 1970
}
