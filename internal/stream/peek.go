package stream

import "context"

// ReadTail reads the end of a log without taking it: for people who want to know where it is.
// Its owner may be writing on.
func ReadTail(ctx context.Context, cfg Config) (*Tail, error) {
	var tail *Tail
	s, err := withSession(ctx, cfg, "read the end of", func(s *session) error {
		_, end, err := s.bounds(ctx)
		if err != nil {
			return err
		}
		tail, err = s.readTail(ctx, end)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.close()
	return tail, nil
}
