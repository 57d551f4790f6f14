import stringWidth from 'string-width';

/**
 * Characters that a name from outside must not bring along: control characters (ESC among them), line and paragraph
 * separators, zero-width characters and those that turn the direction of writing.
 */
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Text from outside made harmless on a terminal or a page: one line, nothing invisible, no lone surrogates. */
export function printable(text: string): string {
  return text
    .replace(/[\t\r\n]+/g, ' ')
    .replace(HARMFUL, '')
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
}

/** Pads to a width in terminal cells; wide characters count two. */
export function padCells(text: string, width: number, side: 'left' | 'right'): string {
  const padding = ' '.repeat(Math.max(0, width - stringWidth(text)));
  return side === 'left' ? padding + text : text + padding;
}

/** Breaks text into lines of at most `width` terminal cells, between words where there is a blank. */
export function wrapCells(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  let lineWidth = 0;
  for (const word of text.split(/ +/)) {
    const wordWidth = stringWidth(word);
    if (lineWidth > 0 && lineWidth + 1 + wordWidth <= width) {
      line += ` ${word}`;
      lineWidth += 1 + wordWidth;
      continue;
    }
    if (lineWidth > 0) lines.push(line);
    const pieces = splitCells(word, width);
    lines.push(...pieces.slice(0, -1));
    line = pieces.at(-1)!;
    lineWidth = stringWidth(line);
  }
  if (lineWidth > 0 || lines.length === 0) lines.push(line);
  return lines;
}

/** A word too long for one line, in pieces. */
function splitCells(word: string, width: number): string[] {
  if (stringWidth(word) <= width) return [word];
  const pieces: string[] = [];
  let piece = '';
  let pieceWidth = 0;
  for (const character of word) {
    const characterWidth = stringWidth(character);
    if (pieceWidth + characterWidth > width && piece !== '') {
      pieces.push(piece);
      piece = '';
      pieceWidth = 0;
    }
    piece += character;
    pieceWidth += characterWidth;
  }
  return [...pieces, piece];
}
