package demo

import "context"

// Spoiled is the demo with an ERP that somebody changes before the proof.
func Spoiled(d Demo, spoil func(ctx context.Context, erp string) error) Demo {
	d.spoil = spoil
	return d
}

// Filed is a demo whose one order's documents and mails go into a directory of the test's.
func Filed(d Demo, dir string) Demo {
	d.files = dir
	return d
}
