// Calls until there is an answer or a refusal: what passes is waited for.
import { type Failure, failureOf } from "./failure";
import { type Condition, realTime, standing, waitAfter } from "./follow";

export type Outcome<T> = { answer: T } | { failure: Failure };

// `trouble` is told what is being waited for. Undefined when the signal put an end to it.
export async function insist<T>(
  call: () => Promise<T>,
  trouble: (condition: Condition) => void,
  signal: AbortSignal,
  time = realTime,
): Promise<Outcome<T> | undefined> {
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      const answer = await call();
      return signal.aborted ? undefined : { answer };
    } catch (error) {
      if (signal.aborted) return undefined;
      const failure = failureOf(error);
      if (failure.kind !== "passing" && failure.kind !== "quota") return { failure };
      trouble(standing(failure, time.now()));
      await time.sleep(waitAfter(failure, tries, time.random()), signal);
    }
  }
  return undefined;
}
