package survey

import "testing"

// Fields that are switched off are named only where orders have them: a new shop is full of examples.
func TestFieldsSwitchedOffAreLeftOut(t *testing.T) {
	s := &Shop{Fields: []Field{
		{ID: "1", Names: []string{"Select"}},                                                         // an example, switched off
		{ID: "2", Names: []string{"Codice fiscale"}},                                                 // never used
		{ID: "3", Names: []string{"Partita IVA"}, Values: []string{"IT00743110157"}},                 // switched off since
		{ID: "4", Names: []string{"Colore preferito"}, Active: true, Values: []string{"verde mela"}}, // means nothing to us
	}}
	all, unused := s.fieldGuesses()
	if len(all) != 1 || all[0].what != `"3"` {
		t.Errorf("guessed %+v", all)
	}
	if len(unused) != 1 || unused[0] != "4 Colore preferito" {
		t.Errorf("unused %q", unused)
	}
}
