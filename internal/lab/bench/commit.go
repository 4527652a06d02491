package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// commitsPerSecond is the pace at which the databases' own commits are measured, in both at
// the same time.
const commitsPerSecond = 200

// measureCommits measures what a COMMIT of one small row takes in each database while nothing
// else happens.
func measureCommits(ctx context.Context, st *stage, r *Report) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		times, err := st.mysqlCommits(ctx)
		r.Commits.MySQL = percentiles(times)
		return err
	})
	group.Go(func() error {
		times, err := st.postgresCommits(ctx)
		r.Commits.Postgres = percentiles(times)
		return err
	})
	return group.Wait()
}

func (st *stage) mysqlCommits(ctx context.Context) ([]time.Duration, error) {
	conn, err := st.shop.DB().Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure MySQL's commits: %w", err)
	}
	defer conn.Close()
	exec := func(statement string, args ...any) error {
		if _, err := conn.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("measure MySQL's commits: %w", err)
		}
		return nil
	}
	if err := exec("CREATE TABLE bench_commit (id int PRIMARY KEY)"); err != nil {
		return nil, err
	}
	return paced(ctx, commitsPerSecond, st.options.For/2, func(i int) (time.Duration, error) {
		if err := exec("BEGIN"); err != nil {
			return 0, err
		}
		if err := exec("INSERT INTO bench_commit VALUES (?)", i); err != nil {
			return 0, err
		}
		began := time.Now()
		err := exec("COMMIT")
		return time.Since(began), err
	})
}

func (st *stage) postgresCommits(ctx context.Context) ([]time.Duration, error) {
	conn, err := st.connectTo(ctx, "ceiling")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	exec := func(statement string, args ...any) error {
		if _, err := conn.Exec(ctx, statement, args...); err != nil {
			return fmt.Errorf("measure PostgreSQL's commits: %w", err)
		}
		return nil
	}
	if err := exec("create table bench_commit (id int primary key)"); err != nil {
		return nil, err
	}
	return paced(ctx, commitsPerSecond, st.options.For/2, func(i int) (time.Duration, error) {
		if err := exec("begin"); err != nil {
			return 0, err
		}
		if err := exec("insert into bench_commit values ($1)", i); err != nil {
			return 0, err
		}
		began := time.Now()
		err := exec("commit")
		return time.Since(began), err
	})
}

// paced does something at a pace for a while and returns how long each took.
func paced(ctx context.Context, perSecond float64, during time.Duration, do func(i int) (time.Duration, error)) ([]time.Duration, error) {
	var times []time.Duration
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; time.Since(began) < during; i++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
		took, err := do(i)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
		timer.Reset(time.Until(began.Add(time.Duration(float64(i+1) / perSecond * float64(time.Second)))))
	}
	return times, nil
}
