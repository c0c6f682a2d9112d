/**
 * score tells how well a text fits what was typed, both in lower case: each word has to be found, at the text's beginning best, at
 * that of a word well, amid one still, and scattered over the text in its order at worst. 0 is not at all.
 */
export function score(text: string, words: readonly string[]): number {
  let sum = 0;
  for (const word of words) {
    const fit = scoreWord(text, word);
    if (fit === 0) return 0;
    sum += fit;
  }
  return sum;
}

/** wordsOf are the words of what was typed, as score wants them. */
export function wordsOf(typed: string): string[] {
  return typed.toLowerCase().split(/\s+/).filter(Boolean);
}

function scoreWord(text: string, word: string): number {
  const at = text.indexOf(word);
  // Short texts are fitted better by the same word.
  const length = Math.min(99, text.length);
  if (at === 0) return 1_000 - length;
  if (at > 0) return (isLetter(text.charCodeAt(at - 1)) ? 600 : 800) - length;
  let from = -1;
  let first = -1;
  for (let i = 0; i < word.length; i++) {
    from = text.indexOf(word[i], from + 1);
    if (from < 0) return 0;
    if (first < 0) first = from;
  }
  // Letters that are too far from each other were not meant.
  const span = from - first - word.length;
  return word.length > 1 && span <= 2 * word.length ? 300 - length - span : 0;
}

/** isLetter reports a small letter, a figure, or what is beyond ASCII. */
function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code > 127;
}

/** best are the indexes of the texts that fit best, those of equal fit in their order. */
export function best(
  texts: readonly string[],
  words: readonly string[],
  limit: number,
): { index: number; fit: number }[] {
  const found: { index: number; fit: number }[] = [];
  for (let index = 0; index < texts.length; index++) {
    const fit = score(texts[index], words);
    if (fit > 0) found.push({ index, fit });
  }
  return found.sort((a, b) => b.fit - a.fit || a.index - b.index).slice(0, limit);
}
