import { expect, test } from 'vitest';
import { PlantDriver } from '../../src/dut/emulators/plant-driver.ts';
import { Plant } from '../../src/plant/plant.ts';

const makePlant = () => new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: true } });

test('a plant shows what its driver said ahead', () => {
  const plant = makePlant();
  const driver = new PlantDriver(plant, 1e-3);
  driver.level(1, 5e-3);
  driver.edge(1, 'D0', 'fall');
  driver.edge(1.5, 'D0', 'rise');
  driver.level(2, 1e-3);
  expect(plant.integrals(0, 3).charge_C).toBeCloseTo(7e-3, 12);
  expect(plant.edgesBetween(0, 3).map(({ time_s, polarity }) => [time_s, polarity])).toEqual([
    [1, 'fall'],
    [1.5, 'rise'],
  ]);
});

test('a pulse that is said too late happens at the horizon, with its length', () => {
  const plant = makePlant();
  const driver = new PlantDriver(plant, 1e-3);
  plant.integrals(0, 2);
  driver.edge(1, 'D0', 'fall');
  driver.edge(1 + 50e-6, 'D0', 'rise');
  plant.integrals(0, 3);
  const [fall, rise] = plant.edgesBetween(0, 3);
  expect(fall.time_s).toBe(2);
  expect(rise.time_s - fall.time_s).toBeCloseTo(50e-6, 9);
});

test('what is cancelled does not happen, and the line can fall again after a rise that was cancelled', () => {
  const plant = makePlant();
  const driver = new PlantDriver(plant, 1e-3);
  driver.edge(1, 'D0', 'fall');
  driver.edge(2, 'D0', 'rise');
  driver.cancelAfter(1.5);
  driver.edge(3, 'D0', 'fall');
  driver.edge(4, 'D0', 'rise');
  plant.integrals(0, 5);
  expect(plant.edgesBetween(0, 5).map(({ time_s }) => time_s)).toEqual([1, 4]);
});
