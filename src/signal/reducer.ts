import { type Observable, Observable as Rx } from 'rxjs';

/**
 * A stage of the pipeline: a reducer from chunks to chunks. Stages are written once and wrapped twice: as an RxJS
 * operator for live streams, and over an AsyncIterable for recordings, which are pulled.
 */
export interface Stage<In, Out> {
  push(chunk: In): Iterable<Out>;
  /** The input has ended: whatever the stage still holds. */
  end(): Iterable<Out>;
}

/** A stage as an RxJS operator. Chunks stay in order; an error of the source ends the output with that error. */
export function stageOperator<In, Out>(makeStage: () => Stage<In, Out>): (source: Observable<In>) => Observable<Out> {
  return (source) =>
    new Rx<Out>((subscriber) => {
      const stage = makeStage();
      return source.subscribe({
        next: (chunk) => {
          try {
            for (const out of stage.push(chunk)) subscriber.next(out);
          } catch (error) {
            subscriber.error(error);
          }
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          try {
            for (const out of stage.end()) subscriber.next(out);
            subscriber.complete();
          } catch (error) {
            subscriber.error(error);
          }
        },
      });
    });
}

/** A stage over a pulled source: a file is never in memory, because nothing is read before it is asked for. */
export async function* stageOver<In, Out>(
  source: AsyncIterable<In> | Iterable<In>,
  stage: Stage<In, Out>,
): AsyncGenerator<Out> {
  for await (const chunk of source) yield* stage.push(chunk);
  yield* stage.end();
}
