package postgres

import "context"

// WasRead tells whether this source's slot is there. It is made behind the first claim: with it
// and without a log, somebody has emptied the log. It waits for a server that is away until the
// context ends.
func WasRead(ctx context.Context, cfg Config) (bool, error) {
	var read bool
	err := retry(ctx, cfg.Log, "look whether it was read before", func() error {
		conn, err := cfg.connect(ctx)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		s, err := readSlot(ctx, conn, cfg.Slot)
		read = s != nil
		return err
	})
	return read, err
}
