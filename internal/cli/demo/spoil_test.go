package demo

import "context"

// Spoiled is the demo with an ERP that somebody changes before the proof.
func Spoiled(d Demo, spoil func(ctx context.Context, erp string) error) Demo {
	d.spoil = spoil
	return d
}
