package change

import "golang.org/x/sys/cpu"

// canFold tells whether the processor multiplies without carries, as every one since 2011 does.
var canFold = cpu.X86.HasPCLMULQDQ

// fold returns 16 bytes that have the same remainder as p, whose length is a multiple of 16
// and at least 64, with crc added to its first 8 bytes.
//
//go:noescape
func fold(crc uint64, p []byte) (lo, hi uint64)
